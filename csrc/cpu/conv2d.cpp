// The CPU entries of conv2d and its gradients: checks, results, threads, then a kernel.
#include <torch/library.h>

#include "conv2d_checks.h"
#include "cpu/channel_sum.h"
#include "cpu/dispatch.h"
#include "cpu/parallel.h"

namespace torchconv {
namespace {

/// Runs a depthwise kernel over the items of conv2d or of its input gradient.
template <class X, class T, class O, class Kernel>
void parallel_depthwise(const Conv2dArgs<X, T, O>& args, const DepthwiseLine& rows,
                        const DepthwiseLine& columns, const Kernel& kernel) {
  const Conv2dShape& s = args.shape;
  const DepthwiseLanes lanes = depthwise_lanes(args);
  const int64_t items = depthwise_items(s, rows, columns, lanes);
  const double work = static_cast<double>(s.out_channels * s.kernel_h * s.kernel_w) * s.out_h *
                      s.out_w * s.batch / items;
  parallel_with_scratch(
      items, work, depthwise_scratch_bytes<std::remove_const_t<T>>(s, rows, columns, lanes),
      [&](int64_t begin, int64_t end, void* scratch) { kernel(args, begin, end, scratch); });
}

at::Tensor conv2d_cpu(const at::Tensor& x, const at::Tensor& weight,
                      const std::optional<at::Tensor>& bias, at::IntArrayRef stride,
                      at::IntArrayRef padding, at::IntArrayRef dilation, int64_t groups) {
  const Conv2dShape s = check_conv2d<int64_t>(x, weight, bias, stride, padding, dilation, groups);
  at::Tensor out = empty_result({s.batch, s.out_channels, s.out_h, s.out_w}, x.options(),
                                common_format(x, weight));
  if (out.numel() == 0) return out;
  with_float_type(x.scalar_type(), [&](auto type) {
    using T = decltype(type);
    auto* const kernel = kernels().of(type).products.conv2d;
    const Conv2dForwardArgs<T> args{s,
                                    view4<const T>(x),
                                    view4<const T>(weight),
                                    view4<T>(out),
                                    bias ? data_of<const T>(*bias) : nullptr,
                                    bias ? bias->stride(0) : 0};
    if (takes_depthwise(s)) {
      auto* const depthwise = kernels().of(type).depthwise.conv2d;
      return parallel_depthwise(args, forward_rows(s), forward_columns(s), depthwise);
    }
    const Conv2dPlan plan = plan_forward(s, args.out.c == 1 && args.out.w != 1, machine<T>());
    parallel_with_scratch(plan.items, plan.work, plan.scratch_bytes,
                          [&](int64_t begin, int64_t end, void* scratch) {
                            kernel(args, plan, begin, end, scratch);
                          });
  });
  return out;
}

at::Tensor conv2d_backward_input_cpu(const at::Tensor& grad_out, const at::Tensor& weight,
                                     at::IntArrayRef input_size, at::IntArrayRef stride,
                                     at::IntArrayRef padding, at::IntArrayRef dilation,
                                     int64_t groups) {
  const Conv2dShape s = check_conv2d_backward_input<int64_t>(grad_out, weight, input_size, stride,
                                                             padding, dilation, groups);
  at::Tensor grad_x = empty_result({s.batch, s.in_channels, s.in_h, s.in_w}, grad_out.options(),
                                   common_format(grad_out, weight));
  if (grad_x.numel() == 0) return grad_x;
  with_float_type(grad_out.scalar_type(), [&](auto type) {
    using T = decltype(type);
    auto* const kernel = kernels().of(type).products.conv2d_backward_input;
    const Conv2dBackwardInputArgs<T> args{
        s, view4<T>(grad_x), view4<const T>(weight), view4<const T>(grad_out), nullptr, 0};
    if (takes_depthwise(s)) {
      auto* const depthwise = kernels().of(type).depthwise.conv2d_backward_input;
      return parallel_depthwise(args, backward_rows(s), backward_columns(s), depthwise);
    }
    if (some_inputs_meet_no_tap(s)) grad_x.zero_();
    const Conv2dPlan plan = plan_backward_input(s, args.x.c == 1 && args.x.w != 1, machine<T>());
    parallel_with_scratch(plan.items, plan.work, plan.scratch_bytes,
                          [&](int64_t begin, int64_t end, void* scratch) {
                            kernel(args, plan, begin, end, scratch);
                          });
  });
  return grad_x;
}

at::Tensor conv2d_backward_weight_cpu(const at::Tensor& grad_out, const at::Tensor& x,
                                      at::IntArrayRef kernel_size, at::IntArrayRef stride,
                                      at::IntArrayRef padding, at::IntArrayRef dilation,
                                      int64_t groups) {
  const Conv2dShape s = check_conv2d_backward_weight<int64_t>(grad_out, x, kernel_size, stride,
                                                              padding, dilation, groups);
  at::Tensor grad_weight =
      empty_result({s.out_channels, s.group_in_channels(), s.kernel_h, s.kernel_w},
                   grad_out.options(), common_format(grad_out, x));
  if (grad_weight.numel() == 0) return grad_weight;
  if (s.batch * s.out_h * s.out_w == 0) return grad_weight.zero_();
  with_float_type(grad_out.scalar_type(), [&](auto type) {
    using T = decltype(type);
    using Acc = Accumulator<T>;
    const auto& products = kernels().of(type).products;
    const auto& depthwise = kernels().of(type).depthwise;
    const bool by_channel = takes_depthwise(s);
    const bool channels_last = x.stride(1) == 1 && x.stride(3) != 1;
    Conv2dWeightPlan plan{};
    if (!by_channel) plan = plan_weight_gradient(s, channels_last, machine<T>());
    const Conv2dArgs<const T, T, const T> conv{
        s, view4<const T>(x), view4<T>(grad_weight), view4<const T>(grad_out), nullptr, 0};
    const DepthwiseLanes lanes = depthwise_lanes(conv);
    const int64_t chunks = by_channel ? depthwise_weight_chunks(s, lanes) : plan.chunks;
    at::Tensor partial;
    if (chunks > 1) partial = empty_scratch(chunks, grad_weight.numel() * sizeof(Acc));
    const Conv2dBackwardWeightArgs<T> args{
        conv, chunks, chunks > 1 ? static_cast<Acc*>(partial.data_ptr()) : nullptr};
    if (by_channel) {
      const int64_t items = depthwise_weight_items(s, chunks, lanes);
      const double terms = static_cast<double>(s.batch) * s.out_h * s.out_w;
      parallel_with_scratch(items, terms * grad_weight.numel() / items,
                            depthwise_weight_scratch_bytes<T>(s, lanes),
                            [&](int64_t begin, int64_t end, void* scratch) {
                              depthwise.conv2d_backward_weight(args, begin, end, scratch);
                            });
    } else {
      auto* const kernel = products.conv2d_backward_weight;
      parallel_with_scratch(plan.items, plan.work, plan.scratch_bytes,
                            [&](int64_t begin, int64_t end, void* scratch) {
                              kernel(args, plan, begin, end, scratch);
                            });
    }
    if (chunks == 1) return;
    parallel(s.out_channels, static_cast<double>(chunks) * grad_weight.numel() / s.out_channels,
             [&](int64_t begin, int64_t end) { products.conv2d_add_chunks(args, begin, end); });
  });
  return grad_weight;
}

at::Tensor conv2d_backward_bias_cpu(const at::Tensor& grad_out) {
  check_conv2d_backward_bias(grad_out);
  const int64_t channels = grad_out.size(1);
  int64_t height = grad_out.size(2), width = grad_out.size(3);
  if (grad_out.stride(2) == width * grad_out.stride(3)) {  // a plane is one long row
    width *= height;
    height = 1;
  }
  at::Tensor grad_bias = empty_result({channels}, grad_out.options());
  with_float_type(grad_out.scalar_type(), [&](auto type) {
    using T = decltype(type);
    channel_sum<T>({grad_out.size(0), channels, height, width, view4<const T>(grad_out),
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
