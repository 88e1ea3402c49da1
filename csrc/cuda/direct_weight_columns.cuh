// The gradient of the weight where rows lie in lines: tiles are those of direct_columns.cuh.
#pragma once

#include "cuda/direct_lines.cuh"
#include "cuda/direct_weight.cuh"

namespace torchconv::cuda {

/// Items are (chunk, channel of x in the group, output channel, thread of it). Neighbouring threads
/// have neighbouring tiles, so that they read neighbouring memory, `pack` elements at once.
template <class T, class W, int pack>
struct DirectWeightColumns {
  static constexpr int kLanes = kVector<T>;
  static constexpr int kRows = (W::kSide == 3 && W::kStep == 1 ? 32 : 16) / kLanes;
  static constexpr int kTerms = kRows * kLanes, kMostSpread = 32;
  using Down = Tile<W, kRows>;
  using Across = Tile<W, kLanes>;
  using Acc = Accumulator<T>;

  DirectArgs<T, const T, int32_t> args;
  TileLine<W, kRows> down;
  TileLine<W, kLanes> across;
  Split4<int32_t> split, tiles;
  Divider<int32_t> group_dest;
  int32_t all_tiles, tiles_of_chunk, columns;
  Acc* to;

  /// Threads of an output channel.
  static int64_t spread_of(const DirectArgs<T, const T, int64_t>& a) {
    return power_up_to(tiles_of(a) / a.batch, kMostSpread);
  }
  static int64_t tiles_of(const DirectArgs<T, const T, int64_t>& a) {
    return a.batch * TileLine<W, kRows>(a.rows).tiles() * TileLine<W, kLanes>(a.cols).tiles();
  }

  static int common(const DirectArgs<T, const T, int64_t>& a) {
    const int32_t first = TileLine<W, kLanes>(a.cols)(0).source;
    return std::min(common_pack(a.source, a.cols, a.cols.source, first),
                    common_pack(a.dest, a.cols, a.cols.dest, 0));
  }

  DirectWeightColumns(const DirectArgs<T, const T, int64_t>& a, const WeightSums& sums)
      : args(a.template as<int32_t>()),
        down(a.rows),
        across(a.cols),
        split(a.group_source, a.channels, sums.spread),
        tiles(1, down.tiles(), across.tiles()),
        group_dest(args.group_dest),
        all_tiles(int32_t(tiles_of(a))),
        tiles_of_chunk(int32_t(sums.tiles_of_chunk)),
        columns(int32_t(sums.columns)),
        to(static_cast<Acc*>(sums.memory.get())) {}

  TORCHCONV_ANYWHERE void operator()(int64_t item) const {
    const auto [chunk, k, channel, thread] = split(item);
    const int32_t source = group_dest.quotient(channel) * args.group_source + k;
    const int32_t spread = split.last.divisor();
    const int32_t first = chunk * tiles_of_chunk;
    const int32_t last = at_most(all_tiles - first, tiles_of_chunk) + first;
    Acc sums[W::kSide][W::kSide] = {};
#pragma unroll 1
    for (int32_t tile = first + thread; tile < last; tile += spread) {
      const auto place = tiles(tile);
      add_tile(args.source.offset(place.first, source, 0, 0),
               args.dest.offset(place.first, channel, 0, 0), down(place.third), across(place.last),
               sums);
    }
    Acc* column = to + ((chunk * args.group_source + k) * W::kSide * W::kSide * columns +
                        channel * spread + thread);
#pragma unroll
    for (int tap = 0; tap < W::kSide * W::kSide; ++tap) {
      column[tap * columns] = sums[tap / W::kSide][tap % W::kSide];
    }
  }

 private:
  TORCHCONV_ANYWHERE void add_tile(int32_t plane, int32_t grad_plane, TileStart rows,
                                   TileStart cols, Acc (&sums)[W::kSide][W::kSide]) const {
    Acc grads[kRows][kLanes];
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const int32_t row = rows.dest + r * down.apart();
      LineOfPlaces<T, DirectWindow<1, 1, 1>, kLanes, pack> line;
      line.load(args.dest.data, grad_plane + row * args.dest.h, cols.dest, args.cols.dest,
                args.dest.w, across.apart(), is_place(row, args.rows.dest));
      line.widen_to(grads[r]);
    }
#pragma unroll
    for (int n = 0; n < Down::kPlaces; ++n) {
      const int32_t row = rows.source + (n - Down::kBefore) * down.apart();
      LineOfPlaces<T, W, kLanes, pack> line;
      line.load(args.source.data, plane + row * args.source.h, cols.source, args.cols.source,
                args.source.w, across.apart(), is_place(row, args.rows.source));
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
            sums[i][j] += grads[r][c] * values[Across::place(c, j)];
          }
        }
      }
    }
  }
};

}  // namespace torchconv::cuda
