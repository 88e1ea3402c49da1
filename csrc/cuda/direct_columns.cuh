// Sums over taps where rows lie in lines: a thread has some columns of some rows of a plane, which
// share the lines that it loads.
#pragma once

#include "cuda/direct_lines.cuh"

namespace torchconv::cuda {

/// Items are (image, channel, tile of rows, tile of columns). `pack` elements of a line are loaded
/// at once.
template <class T, class W, int pack>
struct DirectColumns {
  static constexpr int kLanes = kVector<T>;
  // Sums and weights have to fit into registers.
  static constexpr int kRows = W::kSide == 7 || W::kStep == 2 ? 2 : 4;
  using Down = Tile<W, kRows>;
  using Across = Tile<W, kLanes>;
  using Acc = Accumulator<T>;

  DirectArgs<T, T, int32_t> args;
  TileLine<W, kRows> down;
  TileLine<W, kLanes> across;
  Split4<int32_t> split;
  Divider<int32_t> group_dest;
  bool whole;  // all whole vectors of dest are aligned

  explicit DirectColumns(const DirectArgs<T, T, int64_t>& a)
      : args(a.template as<int32_t>()),
        down(a.rows),
        across(a.cols),
        split(a.channels, down.tiles(), across.tiles()),
        group_dest(int32_t(a.group_dest)),
        whole(common_pack(a.dest, a.cols, 0, across.before()) == kLanes) {}

  static int common(const DirectArgs<T, T, int64_t>& a) {
    return common_pack(a.source, a.cols, a.cols.source, TileLine<W, kLanes>(a.cols)(0).source);
  }

  int64_t items() const { return split.items(args.batch); }

  TORCHCONV_ANYWHERE void operator()(int64_t item) const {
    const auto [image, channel, row_tile, col_tile] = split(item);
    const auto rows = down(row_tile), cols = across(col_tile);
    int32_t group = channel;
    const int32_t in_group = group_dest.divide(&group);
    Acc sums[kRows][kLanes] = {};
    int32_t k = 0;
    do {
      add_channel(args.source.offset(image, group * args.group_source + k, 0, 0),
                  group * args.weight.group + in_group * args.weight.dest + k * args.weight.source,
                  rows.source, cols.source, sums);
    } while (++k < args.group_source);
    if (args.bias != nullptr) {
      const Acc bias = widen(args.bias[channel * args.bias_step]);
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
#pragma unroll
        for (int c = 0; c < kLanes; ++c) sums[r][c] += bias;
      }
    }
    const int32_t plane = args.dest.offset(image, channel, 0, 0);
    const bool all = whole && cols.dest >= 0 && cols.dest + kLanes <= args.cols.dest;
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const int32_t row = rows.dest + r * down.apart();
      if (!is_place(row, args.rows.dest)) continue;
      const int32_t line = plane + row * args.dest.h;
      if (all) {
        T results[kLanes];
#pragma unroll
        for (int c = 0; c < kLanes; ++c) narrow(sums[r][c], &results[c]);
        store_pack(args.dest.data + (line + cols.dest), results);
      } else {
#pragma unroll
        for (int c = 0; c < kLanes; ++c) {
          const int32_t col = cols.dest + c * across.apart();
          if (!is_place(col, args.cols.dest)) continue;
          narrow(sums[r][c], args.dest.data + (line + col * args.dest.w));
        }
      }
    }
  }

 private:
  TORCHCONV_ANYWHERE void add_channel(int32_t plane, int32_t weight, int32_t row, int32_t col,
                                      Acc (&sums)[kRows][kLanes]) const {
    Acc taps[W::kSide][W::kSide];
#pragma unroll
    for (int i = 0; i < W::kSide; ++i) {
#pragma unroll
      for (int j = 0; j < W::kSide; ++j) {
        taps[i][j] = widen(args.weight.data[weight + i * args.weight.row + j * args.weight.col]);
      }
    }
#pragma unroll
    for (int n = 0; n < Down::kPlaces; ++n) {
      const int32_t at = row + (n - Down::kBefore) * down.apart();
      LineOfPlaces<T, W, kLanes, pack> line;
      line.load(args.source.data, plane + at * args.source.h, col, args.cols.source, args.source.w,
                across.apart(), is_place(at, args.rows.source));
      Acc values[Across::kPlaces];
      line.widen_to(values);
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        const int i = Down::tap(r, n);
        if (i < 0 || i >= W::kSide) continue;
#pragma unroll
        for (int c = 0; c < kLanes; ++c) {
#pragma unroll
          for (int j = 0; j < W::kSide; ++j) {
            if (Across::meets(c, j)) sums[r][c] += taps[i][j] * values[Across::place(c, j)];
          }
        }
      }
    }
  }
};

}  // namespace torchconv::cuda
