// Results without data, for the meta device, FakeTensor and torch.compile: the checks and the
// shapes of the real kernel, from the same functions.
#include "conv2d_act_pool_checks.h"

#include <torch/library.h>

#include "meta/memory_format.h"

namespace torchconv {
namespace {

using c10::SymInt;
using c10::SymIntArrayRef;
using Activated = std::optional<std::string_view>;

at::Tensor empty_out(const ConvPoolShape<SymInt>& s, const at::Tensor& x, const at::Tensor& weight,
                     at::ScalarType dtype) {
  return empty_with_format(s.out(), is_channels_last(x) || is_channels_last(weight),
                           x.options().dtype(dtype));
}

at::Tensor conv2d_act_pool_meta(const at::Tensor& x, const at::Tensor& weight,
                                const std::optional<at::Tensor>& bias, SymIntArrayRef stride,
                                SymIntArrayRef padding, SymIntArrayRef dilation,
                                const SymInt& groups, Activated activation,
                                SymIntArrayRef pool_size, SymIntArrayRef pool_stride,
                                SymIntArrayRef pool_padding, SymIntArrayRef pool_dilation,
                                bool ceil_mode) {
  check_activation("conv2d_act_pool", activation);
  const auto s = check_conv2d_act_pool<SymInt>(
      x, weight, bias, {stride, padding, dilation, groups},
      {pool_size, pool_stride, pool_padding, pool_dilation, ceil_mode});
  return empty_out(s, x, weight, x.scalar_type());
}

std::tuple<at::Tensor, at::Tensor> conv2d_act_pool_with_offsets_meta(
    const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
    SymIntArrayRef stride, SymIntArrayRef padding, SymIntArrayRef dilation, const SymInt& groups,
    Activated activation, SymIntArrayRef pool_size, SymIntArrayRef pool_stride,
    SymIntArrayRef pool_padding, SymIntArrayRef pool_dilation, bool ceil_mode) {
  check_activation("conv2d_act_pool", activation);
  const auto s = check_conv2d_act_pool<SymInt>(
      x, weight, bias, {stride, padding, dilation, groups},
      {pool_size, pool_stride, pool_padding, pool_dilation, ceil_mode});
  return {empty_out(s, x, weight, x.scalar_type()), empty_out(s, x, weight, offset_dtype(s.pool))};
}

at::Tensor conv2d_pool_backward_input_meta(const at::Tensor& grad_out, const at::Tensor& offsets,
                                           const at::Tensor& weight, SymIntArrayRef input_size,
                                           SymIntArrayRef stride, SymIntArrayRef padding,
                                           SymIntArrayRef dilation, const SymInt& groups,
                                           SymIntArrayRef pool_size, SymIntArrayRef pool_stride,
                                           SymIntArrayRef pool_padding,
                                           SymIntArrayRef pool_dilation, bool ceil_mode,
                                           bool channels_last) {
  const auto s = check_conv2d_pool_backward_input<SymInt>(
      grad_out, offsets, weight, input_size, {stride, padding, dilation, groups},
      {pool_size, pool_stride, pool_padding, pool_dilation, ceil_mode});
  return empty_with_format({s.conv.batch, s.conv.in_channels, s.conv.in_h, s.conv.in_w},
                           channels_last, grad_out.options());
}

at::Tensor conv2d_pool_backward_weight_meta(const at::Tensor& grad_out, const at::Tensor& offsets,
                                            const at::Tensor& x, SymIntArrayRef kernel_size,
                                            SymIntArrayRef stride, SymIntArrayRef padding,
                                            SymIntArrayRef dilation, const SymInt& groups,
                                            SymIntArrayRef pool_size, SymIntArrayRef pool_stride,
                                            SymIntArrayRef pool_padding,
                                            SymIntArrayRef pool_dilation, bool ceil_mode,
                                            bool channels_last) {
  const auto s = check_conv2d_pool_backward_weight<SymInt>(
      grad_out, offsets, x, kernel_size, {stride, padding, dilation, groups},
      {pool_size, pool_stride, pool_padding, pool_dilation, ceil_mode});
  return empty_with_format(
      {s.conv.out_channels, s.conv.group_in_channels(), s.conv.kernel_h, s.conv.kernel_w},
      channels_last, grad_out.options());
}

}  // namespace

TORCH_LIBRARY_IMPL(torchconv, Meta, m) {
  m.impl("conv2d_act_pool", conv2d_act_pool_meta);
  m.impl("conv2d_act_pool_with_offsets", conv2d_act_pool_with_offsets_meta);
  m.impl("conv2d_pool_backward_input", conv2d_pool_backward_input_meta);
  m.impl("conv2d_pool_backward_weight", conv2d_pool_backward_weight_meta);
}

}  // namespace torchconv
