// From the arguments of conv2d and its gradients to a validated shape, on every device.
#pragma once

#include <array>

#include "checks.h"

namespace torchconv {

/// The extent of a dilated kernel: (size - 1) · dilation + 1.
template <class Int>
Int kernel_extent(const char* op, const Int& size, const Int& dilation) {
  return checked_add(op, checked_mul(op, size - 1, dilation), Int(1));
}

template <class Int>
void check_groups(const char* op, const Int& groups) {
  TORCHCONV_EXPECT(is_at_least(groups, Int(1)), op, groups, "groups to be positive");
}

template <class Int>
void check_divisible(const char* op, const Int& channels, const char* name, const Int& groups) {
  TORCHCONV_EXPECT(is_equal(channels % groups, Int(0)), op, channels, name,
                   " to be divisible by groups == ", groups);
}

/// `x` and `weight` are the sizes of these tensors, whether they exist yet or not.
template <class Int>
BasicConv2dShape<Int> conv2d_shape(const char* op, IntList<Int> x, IntList<Int> weight,
                                   IntList<Int> stride, IntList<Int> padding, IntList<Int> dilation,
                                   const Int& groups) {
  check_length(op, stride, "stride", 2, "height, width");
  check_length(op, padding, "padding", 4, "left, right, top, bottom");
  check_length(op, dilation, "dilation", 2, "height, width");
  check_at_least(op, stride, "stride", 1, "positive");
  check_at_least(op, dilation, "dilation", 1, "positive");
  check_at_least(op, padding, "padding", 0, "non-negative");
  check_groups(op, groups);
  check_at_least<Int>(op, weight.slice(2), "kernel_size", 1, "positive");
  check_divisible(op, weight[0], "out_channels", groups);
  const Int in_channels = checked_mul(op, weight[1], groups);
  TORCHCONV_EXPECT(is_equal(x[1], in_channels), op, x[1], "x.size(1) == ", in_channels,
                   " (weight.size(1) · groups)");

  BasicConv2dShape<Int> s{x[0],       x[1],        x[2],        x[3],       weight[0],  weight[2],
                          weight[3],  stride[0],   stride[1],   padding[0], padding[1], padding[2],
                          padding[3], dilation[0], dilation[1], groups,     Int(0),     Int(0)};
  const Int padded_h = checked_add(op, s.in_h, checked_add(op, s.pad_top, s.pad_bottom));
  const Int padded_w = checked_add(op, s.in_w, checked_add(op, s.pad_left, s.pad_right));
  const Int kernel_h = kernel_extent(op, s.kernel_h, s.dilation_h);
  const Int kernel_w = kernel_extent(op, s.kernel_w, s.dilation_w);
  const std::array<Int, 2> padded{padded_h, padded_w}, kernel{kernel_h, kernel_w};
  TORCHCONV_EXPECT(is_at_least(padded_h, kernel_h) && is_at_least(padded_w, kernel_w), op,
                   IntList<Int>(kernel), "the dilated kernel to fit into the padded input of size ",
                   IntList<Int>(padded));
  s.out_h = (padded_h - kernel_h) / s.stride_h + 1;
  s.out_w = (padded_w - kernel_w) / s.stride_w + 1;

  check_countable<Int>(op, {s.batch, s.in_channels, s.in_h, s.in_w});
  check_countable<Int>(op, weight);
  check_countable<Int>(op, {s.batch, s.out_channels, s.out_h, s.out_w});
  return s;
}

template <class Int>
BasicConv2dShape<Int> check_conv2d(const char* op, const at::Tensor& x, const at::Tensor& weight,
                                   const std::optional<at::Tensor>& bias, IntList<Int> stride,
                                   IntList<Int> padding, IntList<Int> dilation, const Int& groups) {
  check_rank(op, x, "x", 4, "[batch, in_channels, height, width]");
  check_rank(op, weight, "weight", 4, "[out_channels, in_channels / groups, kernel_h, kernel_w]");
  check_floating(op, x, "x");
  check_same(op, weight, "weight", x, "x");
  const auto shape = conv2d_shape<Int>(op, sizes_of<Int>(x), sizes_of<Int>(weight), stride, padding,
                                       dilation, groups);
  if (bias) {
    check_same(op, *bias, "bias", x, "x");
    check_shape<Int>(op, *bias, "bias", {shape.out_channels});
  }
  return shape;
}

template <class Int>
BasicConv2dShape<Int> check_conv2d_backward_input(const at::Tensor& grad_out,
                                                  const at::Tensor& weight, IntList<Int> input_size,
                                                  IntList<Int> stride, IntList<Int> padding,
                                                  IntList<Int> dilation, const Int& groups) {
  const char* op = "conv2d_backward_input";
  check_rank(op, grad_out, "grad_out", 4, "[batch, out_channels, height, width]");
  check_rank(op, weight, "weight", 4, "[out_channels, in_channels / groups, kernel_h, kernel_w]");
  check_length(op, input_size, "input_size", 2, "height, width");
  check_at_least(op, input_size, "input_size", 0, "non-negative");
  check_floating(op, grad_out, "grad_out");
  check_same(op, weight, "weight", grad_out, "grad_out");
  check_groups(op, groups);
  const auto weight_size = sizes_of<Int>(weight);
  const std::array<Int, 4> x_size{sizes_of<Int>(grad_out)[0],
                                  checked_mul(op, weight_size[1], groups), input_size[0],
                                  input_size[1]};
  const auto shape = conv2d_shape<Int>(op, x_size, weight_size, stride, padding, dilation, groups);
  check_shape<Int>(op, grad_out, "grad_out",
                   {shape.batch, shape.out_channels, shape.out_h, shape.out_w});
  return shape;
}

template <class Int>
BasicConv2dShape<Int> check_conv2d_backward_weight(const at::Tensor& grad_out, const at::Tensor& x,
                                                   IntList<Int> kernel_size, IntList<Int> stride,
                                                   IntList<Int> padding, IntList<Int> dilation,
                                                   const Int& groups) {
  const char* op = "conv2d_backward_weight";
  check_rank(op, grad_out, "grad_out", 4, "[batch, out_channels, height, width]");
  check_rank(op, x, "x", 4, "[batch, in_channels, height, width]");
  check_length(op, kernel_size, "kernel_size", 2, "height, width");
  check_floating(op, grad_out, "grad_out");
  check_same(op, x, "x", grad_out, "grad_out");
  check_groups(op, groups);
  const auto x_size = sizes_of<Int>(x);
  check_divisible(op, x_size[1], "in_channels", groups);
  const std::array<Int, 4> weight_size{sizes_of<Int>(grad_out)[1], x_size[1] / groups,
                                       kernel_size[0], kernel_size[1]};
  const auto shape = conv2d_shape<Int>(op, x_size, weight_size, stride, padding, dilation, groups);
  check_shape<Int>(op, grad_out, "grad_out",
                   {shape.batch, shape.out_channels, shape.out_h, shape.out_w});
  return shape;
}

template <class Int>
void check_conv2d_backward_bias(const at::Tensor& grad_out,
                                const std::optional<at::Tensor>& offsets) {
  const char* op = "conv2d_backward_bias";
  check_rank(op, grad_out, "grad_out", 4, "[batch, out_channels, height, width]");
  check_floating(op, grad_out, "grad_out");
  if (!offsets) return;
  const at::ScalarType dtype = offsets->scalar_type();
  TORCHCONV_EXPECT(dtype == at::kByte || dtype == at::kInt, op, dtype_name(dtype),
                   "offsets.dtype to be uint8 or int32");
  TORCHCONV_EXPECT(offsets->device() == grad_out.device(), op, offsets->device(),
                   "offsets.device == ", grad_out.device(), " (grad_out.device)");
  check_shape<Int>(op, *offsets, "offsets", sizes_of<Int>(grad_out));
}

}  // namespace torchconv
