// Convolutions in groups of few channels on CUDA, and their gradients, summed directly: there is so
// little arithmetic for each element that memory is the bound.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "shapes.h"

namespace torchconv::cuda {

/// Whether these kernels can compute it: any convolution with channels.
inline bool can_take_direct(const Conv2dShape& s) {
  return s.in_channels > 0 && s.out_channels > 0;
}
/// Whether they are made for such groups.
inline bool takes_direct(const Conv2dShape& s) {
  constexpr int64_t kFewChannels = 8;
  return can_take_direct(s) && s.group_in_channels() <= kFewChannels &&
         s.group_out_channels() <= kFewChannels;
}

/// Each writes every element of its first argument, which is not empty.
void direct_conv2d(const at::Tensor& out, const at::Tensor& x, const at::Tensor& weight,
                   const std::optional<at::Tensor>& bias, const Conv2dShape& s);
void direct_conv2d_backward_input(const at::Tensor& grad_x, const at::Tensor& grad_out,
                                  const at::Tensor& weight, const Conv2dShape& s);
/// The order of its sums depends on shape, layout and type, never on the device.
void direct_conv2d_backward_weight(const at::Tensor& grad_weight, const at::Tensor& grad_out,
                                   const at::Tensor& x, const Conv2dShape& s);

}  // namespace torchconv::cuda
