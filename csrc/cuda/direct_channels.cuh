// Sums over taps where channels lie next to each other: a thread has a vector of channels of some
// columns of a row, or of some rows one after the other.
#pragma once

#include "cuda/direct_vectors.cuh"

namespace torchconv::cuda {

/// Items are (image, slab, group of rows, tile of columns, vector of channels). Weights are turned.
/// Only a depthwise convolution of whole vectors of channels has these, else they are single
/// channels.
template <class T, class W, bool kVectors>
struct DirectChannels {
  // Weights of a row of taps, sums and loaded vectors have to fit into registers.
  static constexpr int kLanes = !kVectors ? 1 : kVector<T>;
  static constexpr int kCols = W::kPhases == 2 ? 8 : W::kStep == 2 ? 4 : 7;
  using Across = Tile<W, kCols>;
  using Acc = Accumulator<T>;

  DirectArgs<T, T, int32_t> args;
  TileLine<W, kCols> across;
  int32_t rows;  // of an item
  Slabs<T, kLanes> slabs;
  Divider<int32_t> group_dest;

  explicit DirectChannels(const DirectArgs<T, T, int64_t>& a)
      : args(a.template as<int32_t>()),
        across(a.cols),
        rows(rows_of_item(a, across.tiles())),
        slabs(args.channels, ceil_div(args.rows.dest, rows), int32_t(across.tiles())),
        group_dest(args.group_dest) {}

  int64_t items() const { return slabs.items(args.batch); }

  TORCHCONV_ANYWHERE void operator()(int64_t item) const {
    const auto [image, row_group, col_tile, channel] = slabs(item);
    if (channel >= args.channels) return;
    const auto cols = across(col_tile);
    const int32_t first = row_group * rows;
#pragma unroll 1
    for (int32_t row = first; row < first + rows && row < args.rows.dest; ++row) {
      compute(image, channel, row, cols);
    }
  }

 private:
  /// More rows share what they read and where it lies, but there have to be enough threads.
  static int32_t rows_of_item(const DirectArgs<T, T, int64_t>& a, int64_t tiles) {
    constexpr double kEnough = 1 << 17;
    const double items = double(a.batch) * double(a.channels) / kLanes * double(tiles);
    int32_t rows = 4;
    while (rows > 1 && items * double(a.rows.dest) / rows < kEnough) rows /= 2;
    return rows;
  }

  TORCHCONV_ANYWHERE void compute(int32_t image, int32_t channel, int32_t row,
                                  const TileStart& cols) const {
    const int32_t source_channels = kVectors ? 1 : args.group_source;
    const int32_t source = kVectors ? channel : group_dest.quotient(channel) * args.group_source;
    Acc sums[kCols][kLanes] = {};
    int32_t k = 0;
    do {
#pragma unroll 1
      for (int32_t i = 0; i < W::kSide; ++i) {
        const int32_t position = row * W::kStep + args.rows.first + i * args.rows.apart;
        const int32_t at = position / W::kPhases;
        if (position % W::kPhases != 0 || !is_place(at, args.rows.source)) continue;
        add_row(args.source.offset(image, source + k, at, 0),
                k * args.weight.source + i * args.weight.row + channel, cols.source, sums);
      }
    } while (++k < source_channels);
    if (args.bias != nullptr) {
#pragma unroll
      for (int lane = 0; lane < kLanes; ++lane) {
        const Acc bias = widen(args.bias[(channel + lane) * args.bias_step]);
#pragma unroll
        for (int c = 0; c < kCols; ++c) sums[c][lane] += bias;
      }
    }
    const int32_t to = args.dest.offset(image, channel, row, 0);
#pragma unroll
    for (int c = 0; c < kCols; ++c) {
      const int32_t col = cols.dest + c * across.apart();
      if (!is_place(col, args.cols.dest)) continue;
      T results[kLanes];
#pragma unroll
      for (int lane = 0; lane < kLanes; ++lane) narrow(sums[c][lane], &results[lane]);
      store_pack(args.dest.data + (to + col * args.dest.w), results);
    }
  }

  /// Adds a row of taps. `line` is the place of its first column, `weight` that of its weights.
  TORCHCONV_ANYWHERE void add_row(int32_t line, int32_t weight, int32_t col,
                                  Acc (&sums)[kCols][kLanes]) const {
    Run<T, kLanes> values[Across::kPlaces], weights[W::kSide];
#pragma unroll
    for (int j = 0; j < W::kSide; ++j) {
      load_pack<kLanes>(args.weight.data + (weight + j * args.weight.col), 0, &weights[j]);
    }
    const int32_t apart = across.apart(), step = apart * args.source.w;
    const int32_t first = col - Across::kBefore * apart;
    const T* from = args.source.data + (line + first * args.source.w);
#pragma unroll
    for (int p = 0; p < Across::kPlaces; ++p) {
      load_if(is_place(first + p * apart, args.cols.source), from + p * int64_t(step), &values[p]);
    }
#pragma unroll
    for (int c = 0; c < kCols; ++c) {
#pragma unroll
      for (int j = 0; j < W::kSide; ++j) {
        if (!Across::meets(c, j)) continue;
#pragma unroll
        for (int lane = 0; lane < kLanes; ++lane) {
          sums[c][lane] += widen(values[Across::place(c, j)][lane]) * widen(weights[j][lane]);
        }
      }
    }
  }
};

}  // namespace torchconv::cuda
