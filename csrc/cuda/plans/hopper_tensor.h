// Tensor maps: what a Hopper GPU's copy engine (TMA) has to know of a tensor in order to copy parts
// of it to shared memory by itself, on one thread's request. Places outside of the tensor, before
// or behind it in any dimension, arrive as zeros: that is how convolutions are padded, and why no
// tile needs a special case at the edges. A map has four dimensions here, of which spare ones have
// size 1. The first has no gaps; the steps of the others are multiples of 16 bytes, and so is the
// address. Two kinds of parts:
//
//   boxes    so many elements in each dimension, from any place on (may be negative)
//   pixels   of [channels, columns, rows, images]: some channels of so many pixels, which are
//            counted as a convolution counts its outputs: along a row in steps of the stride, then
//            on to the next row, then to the next image. The map knows where rows begin and end;
//            the request adds the tap's offset to all of them. (CUDA calls it im2col.)
//
// Lines of a box, 32, 64 or 128 bytes long, can arrive swizzled. Shared memory has 32 banks of 4
// bytes, and eight threads, or a tensor core, that want the same 16 bytes of eight lines one below
// the other would have to wait for one another. So bits 4 to 6 of the address (for 128 bytes) are
// combined with bits 7 to 9 by an exclusive or: then those pieces lie in different banks. Whoever
// reads applies the same permutation.
#pragma once

#include <cstdint>

#include "views.h"

namespace torchconv::cuda {

/// What the copy engine takes elements for. It rounds float32 to TF32.
enum class MapElement { kBf16, kF16, kTf32 };

template <class T>
struct MapElementOf;
template <>
struct MapElementOf<bf16> {
  static constexpr MapElement value = MapElement::kBf16;
};
template <>
struct MapElementOf<f16> {
  static constexpr MapElement value = MapElement::kF16;
};
template <>
struct MapElementOf<float> {
  static constexpr MapElement value = MapElement::kTf32;
};

constexpr int bytes_of(MapElement element) { return element == MapElement::kTf32 ? 4 : 2; }

constexpr int kLineBytes = 128;  // of terms in a step of a sum

/// A tensor, from its fastest dimension on: sizes, and steps in elements.
struct MappedTensor {
  const void* data;
  MapElement element;
  int64_t sizes[4];
  int64_t steps[4];
};

/// For pixels: in columns and rows, the first and last place that a pixel can have without a tap's
/// offset, and the stride.
struct PixelWalk {
  int64_t first[2], last[2], stride[2];
};

/// What a map says.
struct MapRequest {
  MappedTensor tensor;
  int32_t box[4];  // of pixels: channels and pixels
  int32_t swizzle;
  bool pixels;
  PixelWalk walk;
};

/// Asks for boxes. Returns false if there is no such map of that tensor.
bool request_boxes(const MappedTensor& tensor, const int (&box)[4], int swizzle_bytes,
                   MapRequest* request);

/// The same of pixels, with lines of 128 bytes.
bool request_pixels(const MappedTensor& tensor, const PixelWalk& walk, int pixels,
                    MapRequest* request);

}  // namespace torchconv::cuda
