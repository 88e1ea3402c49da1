// What kernels of every device see of tensors: element types, views, the arguments of pooling. No
// torch headers.
#pragma once

#include <cstdint>

#include "shapes.h"

// What CUDA threads call, too.
#ifdef __CUDACC__
#define TORCHCONV_ANYWHERE __host__ __device__
#else
#define TORCHCONV_ANYWHERE
#endif

namespace torchconv {

/// Storage of the 16-bit types; kernels convert to float, compute, and round once.
struct bf16 {
  uint16_t bits;
};
struct f16 {
  uint16_t bits;
};

/// The type in which kernels compute and keep sums.
template <class T>
struct AccumulatorOf {
  using type = int32_t;
};
template <>
struct AccumulatorOf<float> {
  using type = float;
};
template <>
struct AccumulatorOf<bf16> {
  using type = float;
};
template <>
struct AccumulatorOf<f16> {
  using type = float;
};
template <>
struct AccumulatorOf<double> {
  using type = double;
};
template <>
struct AccumulatorOf<int64_t> {
  using type = int64_t;
};
template <class T>
using Accumulator = typename AccumulatorOf<T>::type;

/// A four-dimensional tensor: first element and strides of (batch, channel, height, width).
template <class T>
struct View4 {
  T* data;
  int64_t n, c, h, w;
};

/// The sizes of one.
struct ImageSizes {
  int64_t batch, channels, height, width;
};

/// Pooling and its relatives: x to out, and back from grad_out (in the place of out) to grad_x (in
/// that of x). `offsets` is written by max_pool2d, if not nullptr, and read by the others.
template <class X, class O, class Offset>
struct Pool2dArgs {
  Pool2dShape shape;
  View4<X> x;
  View4<O> out;
  View4<Offset> offsets;
  bool relu = false;  // of max_pool2d: results up to zero become zero, their offsets -1
};

/// A place in a plane of the input, if it is `inside`.
struct PlaneIndex {
  int64_t row, col;
  bool inside;
};

/// Where an offset of a window points to. Nowhere if the window lies wholly in the padding, or if
/// somebody has made the offset up.
TORCHCONV_ANYWHERE inline PlaneIndex place_in_plane(const Pool2dShape& s, int64_t offset,
                                                    int64_t out_row, int64_t out_col) {
  if (offset < 0 || offset >= s.kernel_h * s.kernel_w) return {0, 0, false};
  // A window has less than 2^31 elements, and short numbers are quicker to divide.
  const int64_t tap_row = uint32_t(offset) / uint32_t(s.kernel_w);
  const int64_t tap_col = offset - tap_row * s.kernel_w;
  const int64_t row = out_row * s.stride_h - s.pad_h + tap_row * s.dilation_h;
  const int64_t col = out_col * s.stride_w - s.pad_w + tap_col * s.dilation_w;
  return {row, col, row >= 0 && row < s.in_h && col >= 0 && col < s.in_w};
}

}  // namespace torchconv
