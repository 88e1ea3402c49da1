// Results without data, for the meta device, FakeTensor and torch.compile: the checks and the
// shapes of the real kernel, from the same functions.
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include "conv2d_checks.h"
#include "meta/memory_format.h"

namespace torchconv {
namespace {

using c10::SymInt;
using c10::SymIntArrayRef;

at::Tensor conv2d_meta(const at::Tensor& x, const at::Tensor& weight,
                       const std::optional<at::Tensor>& bias, SymIntArrayRef stride,
                       SymIntArrayRef padding, SymIntArrayRef dilation, const SymInt& groups) {
  const auto s = check_conv2d<SymInt>("conv2d", x, weight, bias, stride, padding, dilation, groups);
  return empty_with_format({s.batch, s.out_channels, s.out_h, s.out_w},
                           is_channels_last(x) || is_channels_last(weight), x.options());
}

at::Tensor conv2d_backward_input_meta(const at::Tensor& grad_out, const at::Tensor& weight,
                                      SymIntArrayRef input_size, SymIntArrayRef stride,
                                      SymIntArrayRef padding, SymIntArrayRef dilation,
                                      const SymInt& groups, bool channels_last) {
  const auto s = check_conv2d_backward_input<SymInt>(grad_out, weight, input_size, stride, padding,
                                                     dilation, groups);
  return empty_with_format({s.batch, s.in_channels, s.in_h, s.in_w}, channels_last,
                           grad_out.options());
}

at::Tensor conv2d_backward_weight_meta(const at::Tensor& grad_out, const at::Tensor& x,
                                       SymIntArrayRef kernel_size, SymIntArrayRef stride,
                                       SymIntArrayRef padding, SymIntArrayRef dilation,
                                       const SymInt& groups, bool channels_last) {
  const auto s = check_conv2d_backward_weight<SymInt>(grad_out, x, kernel_size, stride, padding,
                                                      dilation, groups);
  return empty_with_format({s.out_channels, s.group_in_channels(), s.kernel_h, s.kernel_w},
                           channels_last, grad_out.options());
}

at::Tensor conv2d_backward_bias_meta(const at::Tensor& grad_out,
                                     const std::optional<at::Tensor>& offsets) {
  check_conv2d_backward_bias<SymInt>(grad_out, offsets);
  return at::empty_symint({grad_out.sym_size(1)}, grad_out.options());
}

}  // namespace

TORCH_LIBRARY_IMPL(torchconv, Meta, m) {
  m.impl("conv2d", conv2d_meta);
  m.impl("conv2d_backward_input", conv2d_backward_input_meta);
  m.impl("conv2d_backward_weight", conv2d_backward_weight_meta);
  m.impl("conv2d_backward_bias", conv2d_backward_bias_meta);
}

}  // namespace torchconv
