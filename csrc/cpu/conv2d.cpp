// The CPU entries of conv2d and its gradients: checks and results.
#include "cpu/conv2d.h"

#include <torch/library.h>

#include "conv2d_checks.h"
#include "cpu/channel_sum.h"

namespace torchconv {
namespace {

at::Tensor conv2d_cpu(const at::Tensor& x, const at::Tensor& weight,
                      const std::optional<at::Tensor>& bias, at::IntArrayRef stride,
                      at::IntArrayRef padding, at::IntArrayRef dilation, int64_t groups) {
  const Conv2dShape s =
      check_conv2d<int64_t>("conv2d", x, weight, bias, stride, padding, dilation, groups);
  at::Tensor out = empty_result({s.batch, s.out_channels, s.out_h, s.out_w}, x.options(),
                                common_format(x, weight));
  if (out.numel() == 0) return out;
  with_float_type(x.scalar_type(), [&](auto type) {
    using T = decltype(type);
    const Conv2dForwardArgs<T> args{s,
                                    view4<const T>(x),
                                    view4<const T>(weight),
                                    view4<T>(out),
                                    bias ? data_of<const T>(*bias) : nullptr,
                                    bias ? bias->stride(0) : 0};
    compute(conv2d_work<T>(args, usual_request(args.out), machine<T>()));
  });
  return out;
}

at::Tensor conv2d_backward_input_cpu(const at::Tensor& grad_out, const at::Tensor& weight,
                                     at::IntArrayRef input_size, at::IntArrayRef stride,
                                     at::IntArrayRef padding, at::IntArrayRef dilation,
                                     int64_t groups, bool channels_last) {
  const Conv2dShape s = check_conv2d_backward_input<int64_t>(grad_out, weight, input_size, stride,
                                                             padding, dilation, groups);
  at::Tensor grad_x = empty_result({s.batch, s.in_channels, s.in_h, s.in_w}, grad_out.options(),
                                   image_format(channels_last));
  if (grad_x.numel() == 0) return grad_x;
  if (leaves_inputs_unwritten(s)) grad_x.zero_();
  with_float_type(grad_out.scalar_type(), [&](auto type) {
    using T = decltype(type);
    const Conv2dBackwardInputArgs<T> args{
        s, view4<T>(grad_x), view4<const T>(weight), view4<const T>(grad_out), nullptr, 0};
    compute(conv2d_backward_input_work<T>(args, usual_request(args.x), machine<T>()));
  });
  return grad_x;
}

at::Tensor conv2d_backward_weight_cpu(const at::Tensor& grad_out, const at::Tensor& x,
                                      at::IntArrayRef kernel_size, at::IntArrayRef stride,
                                      at::IntArrayRef padding, at::IntArrayRef dilation,
                                      int64_t groups, bool channels_last) {
  const Conv2dShape s = check_conv2d_backward_weight<int64_t>(grad_out, x, kernel_size, stride,
                                                              padding, dilation, groups);
  at::Tensor grad_weight =
      empty_result({s.out_channels, s.group_in_channels(), s.kernel_h, s.kernel_w},
                   grad_out.options(), image_format(channels_last));
  if (grad_weight.numel() == 0) return grad_weight;
  if (s.batch * s.out_h * s.out_w == 0) return grad_weight.zero_();
  with_float_type(grad_out.scalar_type(), [&](auto type) {
    using T = decltype(type);
    compute_conv2d_backward_weight<T>(
        {s, view4<const T>(x), view4<T>(grad_weight), view4<const T>(grad_out), nullptr, 0});
  });
  return grad_weight;
}

at::Tensor conv2d_backward_bias_cpu(const at::Tensor& grad_out,
                                    const std::optional<at::Tensor>& offsets) {
  check_conv2d_backward_bias<int64_t>(grad_out, offsets);
  const int64_t channels = grad_out.size(1);
  int64_t height = grad_out.size(2), width = grad_out.size(3);
  const auto joins = [&](const at::Tensor& t) { return t.stride(2) == width * t.stride(3); };
  if (joins(grad_out) && (!offsets || joins(*offsets))) {  // a plane is one long row
    width *= height;
    height = 1;
  }
  at::Tensor grad_bias = empty_result({channels}, grad_out.options());
  const at::ScalarType offset_type = offsets ? offsets->scalar_type() : at::kByte;
  with_float_and_offset_type(grad_out.scalar_type(), offset_type, [&](auto type, auto offset) {
    using T = decltype(type);
    using Offset = decltype(offset);
    channel_sum<T, Offset>({grad_out.size(0), channels, height, width, view4<const T>(grad_out),
                            offsets ? view4<const Offset>(*offsets) : View4<const Offset>{},
                            data_of<T>(grad_bias)});
  });
  return grad_bias;
}

}  // namespace

TORCH_LIBRARY_IMPL(torchconv, CPU, m) {
  m.impl("conv2d", conv2d_cpu);
  m.impl("conv2d_backward_input", conv2d_backward_input_cpu);
  m.impl("conv2d_backward_weight", conv2d_backward_weight_cpu);
  m.impl("conv2d_backward_bias", conv2d_backward_bias_cpu);
}

}  // namespace torchconv
