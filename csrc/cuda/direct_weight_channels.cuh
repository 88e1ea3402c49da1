// The gradient of the weight where channels lie next to each other.
#pragma once

#include "cuda/direct_vectors.cuh"
#include "cuda/direct_weight.cuh"

namespace torchconv::cuda {

/// Items are (chunk, channel of x in the group, vector of output channels). A tile has some columns
/// of a row, and the next one is below it, for the L1 cache has most of what that one reads. As in
/// direct_channels.cuh, vectors are those of a depthwise convolution, else they are single
/// channels.
template <class T, class W, bool kVectors>
struct DirectWeightChannels {
  // The sums of all taps have to fit into registers.
  static constexpr int kLanes = !kVectors ? 1 : W::kSide == 3 && sizeof(T) <= 4 ? 4 : 2;
  static constexpr int kCols = W::kStep == 2 ? 4 : 7, kTerms = kCols;
  using Across = Tile<W, kCols>;
  using Acc = Accumulator<T>;

  DirectArgs<T, const T, int32_t> args;
  TileLine<W, kCols> across;
  Split4<int32_t> split, tiles;
  Divider<int32_t> group_dest;
  int32_t all_tiles, tiles_of_chunk;
  Acc* to;

  static int64_t tiles_of(const DirectArgs<T, const T, int64_t>& a) {
    return a.batch * TileLine<W, kCols>(a.cols).tiles() * a.rows.dest;
  }

  DirectWeightChannels(const DirectArgs<T, const T, int64_t>& a, const WeightSums& sums)
      : args(a.template as<int32_t>()),
        across(a.cols),
        split(1, a.group_source, a.channels / kLanes),
        tiles(1, across.tiles(), a.rows.dest),
        group_dest(args.group_dest),
        all_tiles(int32_t(tiles_of(a))),
        tiles_of_chunk(int32_t(sums.tiles_of_chunk)),
        to(static_cast<Acc*>(sums.memory.get())) {}

  TORCHCONV_ANYWHERE void operator()(int64_t item) const {
    const auto place = split(item);
    const int32_t chunk = place.first, k = place.third, channel = place.last * kLanes;
    const int32_t source =
        kVectors ? channel : group_dest.quotient(channel) * args.group_source + k;
    const int32_t first = chunk * tiles_of_chunk;
    const int32_t last = at_most(all_tiles - first, tiles_of_chunk) + first;
    Acc sums[W::kSide][W::kSide][kLanes] = {};
#pragma unroll 1
    for (int32_t number = first; number < last; ++number) {
      const auto tile = tiles(number);
      add_tile(args.source.offset(tile.first, source, 0, 0),
               args.dest.offset(tile.first, channel, 0, 0), tile.last, across(tile.third), sums);
    }
    Acc* column =
        to + ((chunk * args.group_source + k) * W::kSide * W::kSide * args.channels + channel);
#pragma unroll
    for (int tap = 0; tap < W::kSide * W::kSide; ++tap) {
#pragma unroll
      for (int lane = 0; lane < kLanes; ++lane) {
        column[tap * args.channels + lane] = sums[tap / W::kSide][tap % W::kSide][lane];
      }
    }
  }

 private:
  TORCHCONV_ANYWHERE void add_tile(int32_t plane, int32_t grad_plane, int32_t row, TileStart cols,
                                   Acc (&sums)[W::kSide][W::kSide][kLanes]) const {
    const int32_t step = across.apart() * args.source.w, grad_step = across.apart() * args.dest.w;
    const T* grad_line =
        args.dest.data + (grad_plane + row * args.dest.h + cols.dest * args.dest.w);
    Run<T, kLanes> grads[kCols];
#pragma unroll
    for (int c = 0; c < kCols; ++c) {
      const int32_t col = cols.dest + c * across.apart();
      load_if(is_place(col, args.cols.dest), grad_line + c * int64_t(grad_step), &grads[c]);
    }
#pragma unroll
    for (int i = 0; i < W::kSide; ++i) {
      const int32_t at = row * W::kStep + args.rows.first + i * args.rows.apart;
      const int32_t width = is_place(at, args.rows.source) ? args.cols.source : 0;
      const T* line =
          args.source.data + (plane + at * args.source.h +
                              (cols.source - Across::kBefore * across.apart()) * args.source.w);
      Run<T, kLanes> values[Across::kPlaces];
#pragma unroll
      for (int p = 0; p < Across::kPlaces; ++p) {
        const int32_t place = cols.source + (p - Across::kBefore) * across.apart();
        load_if(is_place(place, width), line + p * int64_t(step), &values[p]);
      }
#pragma unroll
      for (int c = 0; c < kCols; ++c) {
#pragma unroll
        for (int j = 0; j < W::kSide; ++j) {
#pragma unroll
          for (int lane = 0; lane < kLanes; ++lane) {
            sums[i][j][lane] += widen(grads[c][lane]) * widen(values[Across::place(c, j)][lane]);
          }
        }
      }
    }
  }
};

}  // namespace torchconv::cuda
