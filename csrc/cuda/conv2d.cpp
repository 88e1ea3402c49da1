// The CUDA entries of conv2d and its gradients: checks and results.
#include "cuda/conv2d.h"

#include <ATen/ops/empty.h>

#include "conv2d_checks.h"
#include "cuda/channel_sum.h"
#include "cuda/register.h"
#include "typed.h"

namespace torchconv {
namespace {

at::Tensor empty(at::IntArrayRef sizes, const at::Tensor& like, at::MemoryFormat format) {
  return at::empty(sizes, like.options().memory_format(format));
}

at::Tensor conv2d_cuda(const at::Tensor& x, const at::Tensor& weight,
                       const std::optional<at::Tensor>& bias, at::IntArrayRef stride,
                       at::IntArrayRef padding, at::IntArrayRef dilation, int64_t groups) {
  const Conv2dShape s =
      check_conv2d<int64_t>("conv2d", x, weight, bias, stride, padding, dilation, groups);
  const at::Tensor out =
      empty({s.batch, s.out_channels, s.out_h, s.out_w}, x, common_format(x, weight));
  if (out.numel() == 0) return out;
  cuda::check_countable_on_gpu("conv2d", s);
  cuda::conv2d_into(out, x, weight, bias, s);
  return out;
}

at::Tensor conv2d_backward_input_cuda(const at::Tensor& grad_out, const at::Tensor& weight,
                                      at::IntArrayRef input_size, at::IntArrayRef stride,
                                      at::IntArrayRef padding, at::IntArrayRef dilation,
                                      int64_t groups, bool channels_last) {
  const Conv2dShape s = check_conv2d_backward_input<int64_t>(grad_out, weight, input_size, stride,
                                                             padding, dilation, groups);
  const at::Tensor grad_x =
      empty({s.batch, s.in_channels, s.in_h, s.in_w}, grad_out, image_format(channels_last));
  if (grad_x.numel() == 0) return grad_x;
  if (s.out_channels == 0) return grad_x.zero_();
  cuda::check_countable_on_gpu("conv2d_backward_input", s);
  cuda::conv2d_backward_input_into(grad_x, grad_out, weight, s);
  return grad_x;
}

at::Tensor conv2d_backward_weight_cuda(const at::Tensor& grad_out, const at::Tensor& x,
                                       at::IntArrayRef kernel_size, at::IntArrayRef stride,
                                       at::IntArrayRef padding, at::IntArrayRef dilation,
                                       int64_t groups, bool channels_last) {
  const Conv2dShape s = check_conv2d_backward_weight<int64_t>(grad_out, x, kernel_size, stride,
                                                              padding, dilation, groups);
  const at::Tensor grad_weight =
      empty({s.out_channels, s.group_in_channels(), s.kernel_h, s.kernel_w}, grad_out,
            image_format(channels_last));
  if (grad_weight.numel() == 0) return grad_weight;
  if (s.batch * s.out_h * s.out_w == 0) return grad_weight.zero_();
  cuda::check_countable_on_gpu("conv2d_backward_weight", s);
  cuda::conv2d_backward_weight_into(grad_weight, x, s, s.batch, [&](int64_t first, int64_t images) {
    return grad_out.narrow(0, first, images);
  });
  return grad_weight;
}

at::Tensor conv2d_backward_bias_cuda(const at::Tensor& grad_out,
                                     const std::optional<at::Tensor>& offsets) {
  check_conv2d_backward_bias<int64_t>(grad_out, offsets);
  const at::Tensor grad_bias = at::empty({grad_out.size(1)}, grad_out.options());
  with_float_and_offset_type(
      grad_out.scalar_type(), offsets ? offsets->scalar_type() : at::kByte,
      [&](auto type, auto offset) {
        using T = decltype(type);
        using Offset = decltype(offset);
        const ImageSizes sizes{grad_out.size(0), grad_out.size(1), grad_out.size(2),
                               grad_out.size(3)};
        const auto pooled = offsets ? view4<const Offset>(*offsets) : View4<const Offset>{};
        cuda::launch_channel_sum<T, Offset>(
            grad_out, {sizes, view4<const T>(grad_out), pooled, data_of<T>(grad_bias)});
      });
  return grad_bias;
}

}  // namespace

TORCHCONV_CUDA_LIBRARY(m) {
  m.impl("conv2d", conv2d_cuda);
  m.impl("conv2d_backward_input", conv2d_backward_input_cuda);
  m.impl("conv2d_backward_weight", conv2d_backward_weight_cuda);
  m.impl("conv2d_backward_bias", conv2d_backward_bias_cuda);
}

}  // namespace torchconv
