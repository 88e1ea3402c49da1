// What is asked of the places of maxima: the elements that lie there, and their indices.
#pragma once

#include "cuda/arithmetic.cuh"
#include "cuda/launch.cuh"

namespace torchconv::cuda {

template <class T>
TORCHCONV_ANYWHERE inline T* at(const View4<T>& view, int64_t n, int64_t c, int64_t h, int64_t w) {
  return view.data + n * view.n + c * view.c + h * view.h + w * view.w;
}

/// Goes through the places of out in the order of its memory: (image, row, column, channel), or
/// (image, channel, row, column).
struct Outputs {
  Split4<int64_t> split;
  bool channels_last;

  Outputs(const Pool2dShape& s, bool channels_last)
      : split(channels_last ? Split4<int64_t>(s.out_h, s.out_w, s.channels)
                            : Split4<int64_t>(s.channels, s.out_h, s.out_w)),
        channels_last(channels_last) {}

  /// (image, channel, row, column)
  TORCHCONV_ANYWHERE Place4<int64_t> operator()(int64_t item) const {
    const Place4<int64_t> place = split(item);
    if (!channels_last) return place;
    return {place.first, place.last, place.second, place.third};
  }
};

/// out = x at the place that each window has chosen; zero where there is none.
template <class T, class Offset>
struct MaxPool2dGather {
  Pool2dArgs<const T, T, const Offset> args;
  Outputs outputs;

  TORCHCONV_ANYWHERE void operator()(int64_t item) const {
    const auto [image, channel, row, col] = outputs(item);
    const int64_t offset = *at(args.offsets, image, channel, row, col);
    const PlaneIndex from = place_in_plane(args.shape, offset, row, col);
    *at(args.out, image, channel, row, col) =
        from.inside ? *at(args.x, image, channel, from.row, from.col) : T{};
  }
};

/// The same places, counted over the flat plane; -1 where there is none.
template <class Offset>
struct MaxPool2dIndices {
  Pool2dShape shape;
  View4<const Offset> offsets;
  View4<int64_t> indices;
  Outputs outputs;

  TORCHCONV_ANYWHERE void operator()(int64_t item) const {
    const auto [image, channel, row, col] = outputs(item);
    const PlaneIndex from = place_in_plane(shape, *at(offsets, image, channel, row, col), row, col);
    *at(indices, image, channel, row, col) = from.inside ? from.row * shape.in_w + from.col : -1;
  }
};

}  // namespace torchconv::cuda
