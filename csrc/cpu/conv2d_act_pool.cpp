// The CPU entries of conv2d_act_pool and its gradients. They go through portions of the images:
// what the convolution gives of one, or the gradient of that, is made in scratch that stays in the
// caches and is used up at once.
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include "conv2d_act_pool_checks.h"
#include "cpu/conv2d.h"
#include "cpu/max_pool2d.h"
#include "cpu/portions.h"

namespace torchconv {
namespace {

using Shape = ConvPoolShape<int64_t>;
using Activated = std::optional<std::string_view>;

WindowLine conv_rows(const Shape& s) {
  return {s.conv.kernel_h, s.conv.stride_h, s.conv.pad_top, s.conv.dilation_h};
}
WindowLine pool_rows(const Shape& s) {
  return {s.pool.kernel_h, s.pool.stride_h, s.pool.pad_h, s.pool.dilation_h};
}

/// The convolution of some images that reads the rows `in` and makes the rows `out`.
Conv2dShape conv_of(const Shape& s, int64_t images, int64_t in, int64_t out, int64_t pad) {
  Conv2dShape conv = s.conv;
  conv.batch = images;
  conv.in_h = in;
  conv.out_h = out;
  conv.pad_top = pad;
  return conv;
}
/// The same of the pooling.
Pool2dShape pool_of(const Shape& s, int64_t images, int64_t in, int64_t out, int64_t pad) {
  Pool2dShape pool = s.pool;
  pool.batch = images;
  pool.in_h = in;
  pool.out_h = out;
  pool.pad_h = pad;
  return pool;
}

template <class T>
View4<T> part(View4<T> view, RowRange images, RowRange rows) {
  if (view.data != nullptr) view.data += images.first * view.n + rows.first * view.h;
  return view;
}

double bytes_of_row(const Shape& s, const at::Tensor& like) {
  return static_cast<double>(s.conv.out_channels) * s.conv.out_w * like.element_size();
}

/// Scratch for rows of the convolution's output.
template <class T>
class ConvRows {
 public:
  ConvRows(const Shape& s, int64_t most_elements, const at::Tensor& like, at::MemoryFormat format)
      : channels_(s.conv.out_channels),
        width_(s.conv.out_w),
        channels_last_(format == at::MemoryFormat::ChannelsLast),
        memory_(at::empty({most_elements}, like.options())) {}

  static int64_t elements(const Shape& s, int64_t images, int64_t rows) {
    return images * s.conv.out_channels * rows * s.conv.out_w;
  }

  View4<T> view(int64_t rows) const {
    T* data = data_of<T>(memory_);
    if (channels_last_) return {data, rows * width_ * channels_, 1, width_ * channels_, channels_};
    return {data, channels_ * rows * width_, rows * width_, width_, 1};
  }

 private:
  int64_t channels_, width_;
  bool channels_last_;
  at::Tensor memory_;
};

template <class T>
View4<const T> constant(const View4<T>& v) {
  return {v.data, v.n, v.c, v.h, v.w};
}

/// Fills out, and offsets if it is defined.
void conv2d_act_pool_into(const Shape& s, const at::Tensor& x, const at::Tensor& weight,
                          const std::optional<at::Tensor>& bias, Activation activation,
                          const at::Tensor& out, const at::Tensor& offsets) {
  if (out.numel() == 0) return;
  const Portions portions(s.pool.batch, s.pool.out_h, bytes_of_row(s, x) * s.pool.stride_h,
                          4 / std::gcd<int64_t>(4, s.pool.stride_h));
  with_float_and_offset_type(
      x.scalar_type(), offset_dtype(s.pool), [&](auto type, auto offset_type) {
        using T = decltype(type);
        using Offset = decltype(offset_type);
        const View4<Offset> all_offsets =
            offsets.defined() ? view4<Offset>(offsets) : View4<Offset>{};
        int64_t most = 0;
        for (int64_t i = 0; i < portions.count(); ++i) {
          const RowMap pool = inputs_of(portions[i].rows, pool_rows(s), s.pool.in_h);
          most =
              std::max(most, ConvRows<T>::elements(s, portions[i].images.count, pool.others.count));
        }
        const ConvRows<T> scratch(s, most, x, common_format(x, weight));
        for (int64_t i = 0; i < portions.count(); ++i) {
          const Portion portion = portions[i];
          const int64_t images = portion.images.count;
          const RowMap pool = inputs_of(portion.rows, pool_rows(s), s.pool.in_h);
          const View4<T> pooled_from = scratch.view(pool.others.count);
          if (pool.others.count > 0) {
            const RowMap conv = inputs_of(pool.others, conv_rows(s), s.conv.in_h);
            compute_conv2d<T>({conv_of(s, images, conv.others.count, pool.others.count, conv.pad),
                               part(view4<const T>(x), portion.images, conv.others),
                               view4<const T>(weight), pooled_from,
                               bias ? data_of<const T>(*bias) : nullptr,
                               bias ? bias->stride(0) : 0});
          }
          compute_max_pool2d<T, Offset>(
              {pool_of(s, images, pool.others.count, portion.rows.count, pool.pad),
               constant(pooled_from), part(view4<T>(out), portion.images, portion.rows),
               part(all_offsets, portion.images, portion.rows), activation == Activation::kRelu});
        }
        if (activation == Activation::kSigmoid) {
          auto* const sigmoid = kernels().of(type).sigmoid;
          T* data = data_of<T>(out);
          // Monotone, so that it may follow the pooling, on fewer elements.
          parallel(out.numel(), 1, [&](int64_t begin, int64_t end) {
            sigmoid(data + begin, data + begin, end - begin);
          });
        }
      });
}

/// Makes rows of the gradient of the pooling's input.
template <class T, class Offset>
void scatter(const Shape& s, RowRange images, RowRange rows, const at::Tensor& grad_out,
             const at::Tensor& offsets, const View4<T>& to) {
  const RowMap pool = outputs_of(rows, pool_rows(s), s.pool.out_h);
  compute_max_pool2d_backward<T, Offset>(
      {pool_of(s, images.count, rows.count, pool.others.count, pool.pad), to,
       part(view4<const T>(grad_out), images, pool.others),
       part(view4<const Offset>(offsets), images, pool.others)});
}

at::Tensor conv2d_act_pool_cpu(const at::Tensor& x, const at::Tensor& weight,
                               const std::optional<at::Tensor>& bias, at::IntArrayRef stride,
                               at::IntArrayRef padding, at::IntArrayRef dilation, int64_t groups,
                               Activated activation, at::IntArrayRef pool_size,
                               at::IntArrayRef pool_stride, at::IntArrayRef pool_padding,
                               at::IntArrayRef pool_dilation, bool ceil_mode) {
  const Activation act = check_activation("conv2d_act_pool", activation);
  const Shape s = check_conv2d_act_pool<int64_t>(
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
  const Shape s = check_conv2d_act_pool<int64_t>(
      x, weight, bias, {stride, padding, dilation, groups},
      {pool_size, pool_stride, pool_padding, pool_dilation, ceil_mode});
  const at::MemoryFormat format = common_format(x, weight);
  at::Tensor out = empty_result(s.out(), x.options(), format);
  at::Tensor offsets = empty_result(s.out(), x.options().dtype(offset_dtype(s.pool)), format);
  conv2d_act_pool_into(s, x, weight, bias, act, out, offsets);
  return {out, offsets};
}

at::Tensor conv2d_pool_backward_input_cpu(const at::Tensor& grad_out, const at::Tensor& offsets,
                                          const at::Tensor& weight, at::IntArrayRef input_size,
                                          at::IntArrayRef stride, at::IntArrayRef padding,
                                          at::IntArrayRef dilation, int64_t groups,
                                          at::IntArrayRef pool_size, at::IntArrayRef pool_stride,
                                          at::IntArrayRef pool_padding,
                                          at::IntArrayRef pool_dilation, bool ceil_mode) {
  const Shape s = check_conv2d_pool_backward_input<int64_t>(
      grad_out, offsets, weight, input_size, {stride, padding, dilation, groups},
      {pool_size, pool_stride, pool_padding, pool_dilation, ceil_mode});
  const at::MemoryFormat format = common_format(offsets, weight);
  at::Tensor grad_x = empty_result({s.conv.batch, s.conv.in_channels, s.conv.in_h, s.conv.in_w},
                                   grad_out.options(), format);
  if (grad_x.numel() == 0) return grad_x;
  if (leaves_inputs_unwritten(s.conv)) grad_x.zero_();
  const Portions portions(s.conv.batch, s.conv.in_h, bytes_of_row(s, grad_out) / s.conv.stride_h,
                          4);
  with_float_and_offset_type(
      grad_out.scalar_type(), offsets.scalar_type(), [&](auto type, auto offset_type) {
        using T = decltype(type);
        using Offset = decltype(offset_type);
        int64_t most = 0;
        for (int64_t i = 0; i < portions.count(); ++i) {
          const RowMap conv = outputs_of(portions[i].rows, conv_rows(s), s.conv.out_h);
          most =
              std::max(most, ConvRows<T>::elements(s, portions[i].images.count, conv.others.count));
        }
        const ConvRows<T> scratch(s, most, grad_out, format);
        for (int64_t i = 0; i < portions.count(); ++i) {
          const Portion portion = portions[i];
          const RowMap conv = outputs_of(portion.rows, conv_rows(s), s.conv.out_h);
          if (conv.others.count == 0) {  // all of these lie beyond the last step of the stride
            grad_x.narrow(0, portion.images.first, portion.images.count)
                .narrow(2, portion.rows.first, portion.rows.count)
                .zero_();
            continue;
          }
          const View4<T> gradient = scratch.view(conv.others.count);
          scatter<T, Offset>(s, portion.images, conv.others, grad_out, offsets, gradient);
          compute_conv2d_backward_input<T>(
              {conv_of(s, portion.images.count, portion.rows.count, conv.others.count, conv.pad),
               part(view4<T>(grad_x), portion.images, portion.rows), view4<const T>(weight),
               constant(gradient), nullptr, 0});
        }
      });
  return grad_x;
}

at::Tensor conv2d_pool_backward_weight_cpu(const at::Tensor& grad_out, const at::Tensor& offsets,
                                           const at::Tensor& x, at::IntArrayRef kernel_size,
                                           at::IntArrayRef stride, at::IntArrayRef padding,
                                           at::IntArrayRef dilation, int64_t groups,
                                           at::IntArrayRef pool_size, at::IntArrayRef pool_stride,
                                           at::IntArrayRef pool_padding,
                                           at::IntArrayRef pool_dilation, bool ceil_mode) {
  const Shape s = check_conv2d_pool_backward_weight<int64_t>(
      grad_out, offsets, x, kernel_size, {stride, padding, dilation, groups},
      {pool_size, pool_stride, pool_padding, pool_dilation, ceil_mode});
  const at::MemoryFormat format = common_format(offsets, x);
  at::Tensor grad_weight = empty_result(
      {s.conv.out_channels, s.conv.group_in_channels(), s.conv.kernel_h, s.conv.kernel_w},
      grad_out.options(), format);
  if (grad_weight.numel() == 0) return grad_weight;
  if (s.conv.batch == 0) return grad_weight.zero_();
  const Portions portions(s.conv.batch, s.conv.out_h, bytes_of_row(s, grad_out), 4);
  with_float_and_offset_type(
      grad_out.scalar_type(), offsets.scalar_type(), [&](auto type, auto offset_type) {
        using T = decltype(type);
        using Offset = decltype(offset_type);
        using Acc = Accumulator<T>;
        const Portion first = portions[0];
        const ConvRows<T> scratch(s, ConvRows<T>::elements(s, first.images.count, first.rows.count),
                                  grad_out, format);
        const View4<T> result = view4<T>(grad_weight);
        const auto work_of = [&](const Portion& portion) {
          const RowMap conv = inputs_of(portion.rows, conv_rows(s), s.conv.in_h);
          return WeightGradientWork<T>(
              {conv_of(s, portion.images.count, conv.others.count, portion.rows.count, conv.pad),
               part(view4<const T>(x), portion.images, conv.others), result,
               constant(scratch.view(portion.rows.count)), nullptr, 0});
        };
        int64_t chunks = 0;
        for (int64_t i = 0; i < portions.count(); ++i) {
          chunks = std::max(chunks, work_of(portions[i]).chunks());
        }
        // The sum of all portions before, and then the chunks of this one.
        const int64_t elements = grad_weight.numel();
        const at::Tensor sums = empty_scratch(1 + chunks, elements * sizeof(Acc));
        Acc* const sum = data_of<Acc>(sums);
        std::fill(sum, sum + elements, Acc(0));
        for (int64_t i = 0; i < portions.count(); ++i) {
          const Portion portion = portions[i];
          scatter<T, Offset>(s, portion.images, portion.rows, grad_out, offsets,
                             scratch.view(portion.rows.count));
          const WeightGradientWork<T> work = work_of(portion);
          work.compute(sum + elements);
          add_weight_chunks<Acc>(s.conv, {sum, result.n, result.c, result.h, result.w},
                                 1 + work.chunks(), sum);
        }
        add_weight_chunks<T>(s.conv, result, 1, sum);
      });
  return grad_weight;
}

}  // namespace

TORCH_LIBRARY_IMPL(torchconv, CPU, m) {
  m.impl("conv2d_act_pool", conv2d_act_pool_cpu);
  m.impl("conv2d_act_pool_with_offsets", conv2d_act_pool_with_offsets_cpu);
  m.impl("conv2d_pool_backward_input", conv2d_pool_backward_input_cpu);
  m.impl("conv2d_pool_backward_weight", conv2d_pool_backward_weight_cpu);
}

}  // namespace torchconv
