// From the arguments of max_pool2d and its relatives to a validated shape, on every device.
#pragma once

#include <array>

#include "checks.h"

namespace torchconv {

/// The window's arguments, which every operator of the family takes.
template <class Int>
struct PoolWindow {
  IntList<Int> kernel_size, stride, padding, dilation;
  bool ceil_mode;
};

/// Names of the pooled tensor, the window and its arguments in error messages.
struct PoolNames {
  const char *x, *window, *kernel_size, *stride, *padding, *dilation;
};
inline constexpr PoolNames kPoolNames{
    "x", "the dilated window", "kernel_size", "stride", "padding", "dilation"};

inline int64_t min_of(int64_t a, int64_t b) { return std::min(a, b); }
inline c10::SymInt min_of(const c10::SymInt& a, const c10::SymInt& b) { return a.min(b); }

/// Output size in one dimension. With ceil_mode a last window may hang over the end, as long as it
/// starts inside the input or its left padding.
template <class Int>
Int pool_output_size(const char* op, const Int& in, const PoolWindow<Int>& window,
                     const PoolNames& names, size_t dim) {
  const Int &stride = window.stride[dim], &pad = window.padding[dim];
  const Int extent =
      checked_add(op, checked_mul(op, window.kernel_size[dim] - 1, window.dilation[dim]), Int(1));
  TORCHCONV_EXPECT(is_at_least(extent / 2, pad), op, pad, names.padding, " to be at most half of ",
                   names.window, ", ", extent / 2);
  const Int padded = checked_add(op, in, checked_mul(op, pad, Int(2)));
  const Int reach = window.ceil_mode ? checked_add(op, padded, stride - 1) : padded;
  TORCHCONV_EXPECT(is_at_least(reach, extent), op, extent, names.window,
                   " to fit into the padded size ", padded, " of ", names.x);
  Int out = (reach - extent) / stride + 1;
  if (window.ceil_mode) out = min_of(out, (in + pad - 1) / stride + 1);
  TORCHCONV_EXPECT(is_at_least(out, Int(1)), op, extent, names.window,
                   " to fit into the padded size ", padded, " of ", names.x);
  return out;
}

template <class Int>
BasicPool2dShape<Int> max_pool2d_shape(const char* op, IntList<Int> x,
                                       const PoolWindow<Int>& window,
                                       const PoolNames& names = kPoolNames) {
  check_length(op, window.kernel_size, names.kernel_size, 2, "height, width");
  check_length(op, window.stride, names.stride, 2, "height, width");
  check_length(op, window.padding, names.padding, 2, "height, width");
  check_length(op, window.dilation, names.dilation, 2, "height, width");
  check_at_least(op, window.kernel_size, names.kernel_size, 1, "positive");
  check_at_least(op, window.stride, names.stride, 1, "positive");
  check_at_least(op, window.padding, names.padding, 0, "non-negative");
  check_at_least(op, window.dilation, names.dilation, 1, "positive");
  for (const Int& size : x.slice(1)) {
    TORCHCONV_EXPECT(is_at_least(size, Int(1)), op, x, names.x,
                     " to be empty in no dimension but the batch");
  }
  const Int window_size = checked_mul(op, window.kernel_size[0], window.kernel_size[1]);
  TORCHCONV_EXPECT(is_at_least(Int(INT32_MAX - 1), window_size), op, window.kernel_size,
                   names.kernel_size, " to cover less than 2^31 elements");

  const BasicPool2dShape<Int> s{x[0],
                                x[1],
                                x[2],
                                x[3],
                                window.kernel_size[0],
                                window.kernel_size[1],
                                window.stride[0],
                                window.stride[1],
                                window.padding[0],
                                window.padding[1],
                                window.dilation[0],
                                window.dilation[1],
                                pool_output_size(op, x[2], window, names, 0),
                                pool_output_size(op, x[3], window, names, 1)};
  check_countable<Int>(op, x);
  check_countable<Int>(op, {s.batch, s.channels, s.out_h, s.out_w});
  return s;
}

template <class Int>
at::ScalarType offset_dtype(const BasicPool2dShape<Int>& s) {
  return offsets_fit_in_a_byte(s.kernel_h, s.kernel_w) ? at::kByte : at::kInt;
}

template <class Int>
BasicPool2dShape<Int> check_max_pool2d(const char* op, const at::Tensor& x,
                                       const PoolWindow<Int>& window) {
  check_rank(op, x, "x", 4, "[batch, channels, height, width]");
  if (x.scalar_type() != at::kBool) check_real(op, x, "x");
  return max_pool2d_shape<Int>(op, sizes_of<Int>(x), window);
}

template <class Int>
void check_offsets(const char* op, const at::Tensor& offsets, const BasicPool2dShape<Int>& s) {
  check_shape<Int>(op, offsets, "offsets", {s.batch, s.channels, s.out_h, s.out_w});
  const at::ScalarType expected = offset_dtype(s);
  TORCHCONV_EXPECT(offsets.scalar_type() == expected, op, dtype_name(offsets.scalar_type()),
                   "offsets.dtype == ", dtype_name(expected), " (for this kernel_size)");
}

/// For operators that are given offsets of an input of `input_size` instead of the input.
template <class Int>
BasicPool2dShape<Int> check_max_pool2d_offsets(const char* op, const at::Tensor& offsets,
                                               IntList<Int> input_size,
                                               const PoolWindow<Int>& window) {
  check_rank(op, offsets, "offsets", 4, "[batch, channels, out_height, out_width]");
  check_length(op, input_size, "input_size", 2, "height, width");
  check_at_least(op, input_size, "input_size", 1, "positive");
  const auto sizes = sizes_of<Int>(offsets);
  const std::array<Int, 4> x{sizes[0], sizes[1], input_size[0], input_size[1]};
  const auto shape = max_pool2d_shape<Int>(op, x, window);
  check_offsets<Int>(op, offsets, shape);
  return shape;
}

template <class Int>
BasicPool2dShape<Int> check_max_pool2d_backward(const at::Tensor& grad_out,
                                                const at::Tensor& offsets, IntList<Int> input_size,
                                                const PoolWindow<Int>& window) {
  const char* op = "max_pool2d_backward";
  check_floating(op, grad_out, "grad_out");
  TORCHCONV_EXPECT(offsets.device() == grad_out.device(), op, offsets.device(),
                   "offsets.device == ", grad_out.device(), " (grad_out.device)");
  const auto shape = check_max_pool2d_offsets<Int>(op, offsets, input_size, window);
  check_shape<Int>(op, grad_out, "grad_out", sizes_of<Int>(offsets));
  return shape;
}

template <class Int>
BasicPool2dShape<Int> check_max_pool2d_gather(const at::Tensor& x, const at::Tensor& offsets,
                                              const PoolWindow<Int>& window) {
  const char* op = "max_pool2d_gather";
  check_floating(op, x, "x");
  const auto shape = check_max_pool2d<Int>(op, x, window);
  TORCHCONV_EXPECT(offsets.device() == x.device(), op, offsets.device(),
                   "offsets.device == ", x.device(), " (x.device)");
  check_offsets<Int>(op, offsets, shape);
  return shape;
}

}  // namespace torchconv
