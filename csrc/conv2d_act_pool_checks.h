// From the arguments of conv2d_act_pool and its gradients to validated shapes, on every device.
#pragma once

#include <string_view>

#include "conv2d_checks.h"
#include "max_pool2d_checks.h"

namespace torchconv {

enum class Activation { kNone, kRelu, kSigmoid };

inline Activation check_activation(const char* op, const std::optional<std::string_view>& name) {
  if (!name) return Activation::kNone;
  TORCHCONV_EXPECT(*name == "relu" || *name == "sigmoid", op, c10::str("'", *name, "'"),
                   "activation to be 'relu', 'sigmoid' or None");
  return *name == "relu" ? Activation::kRelu : Activation::kSigmoid;
}

inline constexpr PoolNames kBlockPoolNames{"the convolution's output",
                                           "the dilated window of pool",
                                           "pool",
                                           "pool.stride",
                                           "pool.padding",
                                           "pool.dilation"};

template <class Int>
struct ConvGeometry {
  IntList<Int> stride, padding, dilation;
  const Int& groups;
};

template <class Int>
struct ConvPoolShape {
  BasicConv2dShape<Int> conv;
  BasicPool2dShape<Int> pool;  // of the convolution's output

  std::array<Int, 4> out() const { return {pool.batch, pool.channels, pool.out_h, pool.out_w}; }
};

template <class Int>
ConvPoolShape<Int> with_pooling(const char* op, const BasicConv2dShape<Int>& conv,
                                const PoolWindow<Int>& window) {
  const std::array<Int, 4> sizes{conv.batch, conv.out_channels, conv.out_h, conv.out_w};
  return {conv, max_pool2d_shape<Int>(op, sizes, window, kBlockPoolNames)};
}

template <class Int>
ConvPoolShape<Int> check_conv2d_act_pool(const at::Tensor& x, const at::Tensor& weight,
                                         const std::optional<at::Tensor>& bias,
                                         const ConvGeometry<Int>& conv,
                                         const PoolWindow<Int>& window) {
  const char* op = "conv2d_act_pool";
  return with_pooling<Int>(
      op,
      check_conv2d<Int>(op, x, weight, bias, conv.stride, conv.padding, conv.dilation, conv.groups),
      window);
}

/// For gradients, which are given what was pooled: `grad_out` and `offsets`, and one operand of the
/// convolution, called `name`. The sizes of the other follow.
template <class Int>
ConvPoolShape<Int> check_conv2d_pool_backward(const char* op, const at::Tensor& grad_out,
                                              const at::Tensor& offsets, const at::Tensor& operand,
                                              const char* name, IntList<Int> x_size,
                                              IntList<Int> weight_size,
                                              const ConvGeometry<Int>& conv,
                                              const PoolWindow<Int>& window) {
  check_floating(op, grad_out, "grad_out");
  check_same(op, operand, name, grad_out, "grad_out");
  TORCHCONV_EXPECT(offsets.device() == grad_out.device(), op, offsets.device(),
                   "offsets.device == ", grad_out.device(), " (grad_out.device)");
  const ConvPoolShape<Int> s =
      with_pooling<Int>(op,
                        conv2d_shape<Int>(op, x_size, weight_size, conv.stride, conv.padding,
                                          conv.dilation, conv.groups),
                        window);
  check_offsets<Int>(op, offsets, s.pool);
  check_shape<Int>(op, grad_out, "grad_out", sizes_of<Int>(offsets));
  return s;
}

template <class Int>
ConvPoolShape<Int> check_conv2d_pool_backward_input(
    const at::Tensor& grad_out, const at::Tensor& offsets, const at::Tensor& weight,
    IntList<Int> input_size, const ConvGeometry<Int>& conv, const PoolWindow<Int>& window) {
  const char* op = "conv2d_pool_backward_input";
  check_rank(op, grad_out, "grad_out", 4, "[batch, out_channels, height, width]");
  check_rank(op, weight, "weight", 4, "[out_channels, in_channels / groups, kernel_h, kernel_w]");
  check_length(op, input_size, "input_size", 2, "height, width");
  check_at_least(op, input_size, "input_size", 0, "non-negative");
  check_groups(op, conv.groups);
  const auto weight_size = sizes_of<Int>(weight);
  const std::array<Int, 4> x_size{sizes_of<Int>(grad_out)[0],
                                  checked_mul(op, weight_size[1], conv.groups), input_size[0],
                                  input_size[1]};
  return check_conv2d_pool_backward<Int>(op, grad_out, offsets, weight, "weight", x_size,
                                         weight_size, conv, window);
}

template <class Int>
ConvPoolShape<Int> check_conv2d_pool_backward_weight(const at::Tensor& grad_out,
                                                     const at::Tensor& offsets, const at::Tensor& x,
                                                     IntList<Int> kernel_size,
                                                     const ConvGeometry<Int>& conv,
                                                     const PoolWindow<Int>& window) {
  const char* op = "conv2d_pool_backward_weight";
  check_rank(op, grad_out, "grad_out", 4, "[batch, out_channels, height, width]");
  check_rank(op, x, "x", 4, "[batch, in_channels, height, width]");
  check_length(op, kernel_size, "kernel_size", 2, "height, width");
  check_groups(op, conv.groups);
  const auto x_size = sizes_of<Int>(x);
  check_divisible(op, x_size[1], "in_channels", conv.groups);
  const std::array<Int, 4> weight_size{sizes_of<Int>(grad_out)[1], x_size[1] / conv.groups,
                                       kernel_size[0], kernel_size[1]};
  return check_conv2d_pool_backward<Int>(op, grad_out, offsets, x, "x", x_size, weight_size, conv,
                                         window);
}

}  // namespace torchconv
