// The CPU entries of conv2d_act_pool; its gradients are in conv2d_pool_backward.cpp.
#include <torch/library.h>

#include "cpu/conv_pool.h"

namespace torchconv {
namespace {

using Activated = std::optional<std::string_view>;

/// Fills out, and offsets if it is defined.
void conv2d_act_pool_into(const ConvPool& s, const at::Tensor& x, const at::Tensor& weight,
                          const std::optional<at::Tensor>& bias, Activation activation,
                          const at::Tensor& out, const at::Tensor& offsets) {
  if (out.numel() == 0) return;
  const Portions portions(s.pool.batch, s.pool.out_h, bytes_of_row(s, x) * s.pool.stride_h,
                          4 / std::gcd<int64_t>(4, s.pool.stride_h));
  const ConvRows layout(s, common_format(x, weight));
  const auto pool_inputs = [&](const Portion& p) {
    return inputs_of(p.rows, pool_rows(s), s.pool.in_h);
  };
  with_float_and_offset_type(
      x.scalar_type(), offset_dtype(s.pool), [&](auto type, auto offset_type) {
        using T = decltype(type);
        using Offset = decltype(offset_type);
        const View4<const T> all_x = view4<const T>(x);
        const View4<T> all_out = view4<T>(out);
        const View4<Offset> all_offsets =
            offsets.defined() ? view4<Offset>(offsets) : View4<Offset>{};
        const Conv2dForwardArgs<T> whole{s.conv,
                                         all_x,
                                         view4<const T>(weight),
                                         layout.view<T>(nullptr, s.conv.out_h),
                                         bias ? data_of<const T>(*bias) : nullptr,
                                         bias ? bias->stride(0) : 0};
        const bool channels_last = is_channels_last(whole.out);
        const Conv2dAlgorithm algorithm = algorithm_of(whole);
        for_portions<T>(
            portions, layout, [&](const Portion& p) { return pool_inputs(p).others.count; },
            [&](const Portion& p, T* data, const Machine& machine, bool keeps) {
              const RowRange rows = pool_inputs(p).others;
              const RowMap conv = inputs_of(rows, conv_rows(s), s.conv.in_h);
              Conv2dForwardArgs<T> args = whole;
              args.shape = conv_of(s, p.images.count, conv.others.count, rows.count, conv.pad);
              args.x = part(all_x, p.images, conv.others);
              args.out = layout.view(data, rows.count);
              return conv2d_work<T>(args, {channels_last, algorithm, keeps}, machine);
            },
            [&](const Portion& p, T* data, const auto& convolve) {
              const RowMap pool = pool_inputs(p);
              if (pool.others.count > 0) convolve();
              compute_max_pool2d<T, Offset>(
                  {pool_of(s, p.images.count, pool.others.count, p.rows.count, pool.pad),
                   constant(layout.view(data, pool.others.count)), part(all_out, p.images, p.rows),
                   part(all_offsets, p.images, p.rows), activation == Activation::kRelu});
            });
        if (activation == Activation::kSigmoid) {
          auto* const sigmoid = kernels().of(type).sigmoid;
          // Monotone, so that it may follow the pooling, on fewer elements.
          parallel(out.numel(), 1, [&](int64_t begin, int64_t end) {
            sigmoid(all_out.data + begin, all_out.data + begin, end - begin, /*past_caches=*/false);
          });
        }
      });
}

at::Tensor conv2d_act_pool_cpu(const at::Tensor& x, const at::Tensor& weight,
                               const std::optional<at::Tensor>& bias, at::IntArrayRef stride,
                               at::IntArrayRef padding, at::IntArrayRef dilation, int64_t groups,
                               Activated activation, at::IntArrayRef pool_size,
                               at::IntArrayRef pool_stride, at::IntArrayRef pool_padding,
                               at::IntArrayRef pool_dilation, bool ceil_mode) {
  const Activation act = check_activation("conv2d_act_pool", activation);
  const ConvPool s = check_conv2d_act_pool<int64_t>(
      x, weight, bias, {stride, padding, dilation, groups},
      {pool_size, pool_stride, pool_padding, pool_dilation, ceil_mode});
  at::Tensor out = empty_result(s.out(), x.options(), common_format(x, weight));
  conv2d_act_pool_into(s, x, weight, bias, act, out, {});
  return out;
}

std::tuple<at::Tensor, at::Tensor> conv2d_act_pool_with_offsets_cpu(
    const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
    at::IntArrayRef stride, at::IntArrayRef padding, at::IntArrayRef dilation, int64_t groups,
    Activated activation, at::IntArrayRef pool_size, at::IntArrayRef pool_stride,
    at::IntArrayRef pool_padding, at::IntArrayRef pool_dilation, bool ceil_mode) {
  const Activation act = check_activation("conv2d_act_pool", activation);
  const ConvPool s = check_conv2d_act_pool<int64_t>(
      x, weight, bias, {stride, padding, dilation, groups},
      {pool_size, pool_stride, pool_padding, pool_dilation, ceil_mode});
  const at::MemoryFormat format = common_format(x, weight);
  at::Tensor out = empty_result(s.out(), x.options(), format);
  at::Tensor offsets = empty_result(s.out(), x.options().dtype(offset_dtype(s.pool)), format);
  conv2d_act_pool_into(s, x, weight, bias, act, out, offsets);
  return {out, offsets};
}

}  // namespace

TORCH_LIBRARY_IMPL(torchconv, CPU, m) {
  m.impl("conv2d_act_pool", conv2d_act_pool_cpu);
  m.impl("conv2d_act_pool_with_offsets", conv2d_act_pool_with_offsets_cpu);
}

}  // namespace torchconv
