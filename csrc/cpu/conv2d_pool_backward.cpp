// The CPU entries of the gradients of conv2d_act_pool.
#include <torch/library.h>

#include "cpu/conv_pool.h"

namespace torchconv {
namespace {

template <class T, class Offset>
struct Pooled {
  View4<const T> grad_out;
  View4<const Offset> offsets;

  Pooled(const at::Tensor& grad_out, const at::Tensor& offsets)
      : grad_out(view4<const T>(grad_out)), offsets(view4<const Offset>(offsets)) {}
};

/// Makes rows of the gradient of the pooling's input, of some channels.
template <class T, class Offset>
void scatter(const ConvPool& s, const Pooled<T, Offset>& from, RowRange images, RowRange rows,
             RowRange channels, const View4<T>& to) {
  const RowMap map = outputs_of(rows, pool_rows(s), s.pool.out_h);
  Pool2dShape pool = pool_of(s, images.count, rows.count, map.others.count, map.pad);
  pool.channels = channels.count;
  View4<const T> grad_out = part(from.grad_out, images, map.others);
  View4<const Offset> offsets = part(from.offsets, images, map.others);
  grad_out.data += channels.first * grad_out.c;
  offsets.data += channels.first * offsets.c;
  compute_max_pool2d_backward<T, Offset>({pool, to, grad_out, offsets});
}

/// That gradient for one thread.
template <class T, class Offset>
class ScatteredRows final : public RowsOnDemand<T> {
 public:
  /// With memory for so many rows.
  ScatteredRows(const ConvPool& s, const Pooled<T, Offset>& from, const ConvRows& layout,
                int64_t rows, T* memory)
      : s_(s), from_(from), layout_(layout), rows_(rows), memory_(memory) {}

  View4<const T> view(int64_t first, int64_t last, int64_t end, int64_t channel,
                      int64_t channels) override {
    const bool found = channel == channels_.first && channels == channels_.count &&
                       first >= made_.first && last <= made_.first + made_.count;
    if (!found) {
      const int64_t parts = ceil_div(end - first, rows_);
      channels_ = {channel, channels};
      made_ = {first, std::max(last - first, ceil_div(end - first, parts))};
      make();
    }
    return constant(view_);
  }

 private:
  void make() {
    view_ = layout_.of_channels(channels_.count).view(memory_, made_.count);
    view_.n = s_.conv.out_h * view_.h;  // as if images lay one below the other
    const int64_t height = s_.conv.out_h, end = made_.first + made_.count;
    View4<T> to = view_;
    for (int64_t row = made_.first; row < end;) {
      const RowRange image{row / height, 1};
      const RowRange rows{row % height, std::min(height - row % height, end - row)};
      to.data = view_.data + (row - made_.first) * view_.h;
      scatter<T, Offset>(s_, from_, image, rows, channels_, to);
      row += rows.count;
    }
    view_.data -= made_.first * view_.h + channels_.first * view_.c;
  }

  const ConvPool& s_;
  const Pooled<T, Offset>& from_;
  ConvRows layout_;
  int64_t rows_;
  T* memory_;
  RowRange channels_{0, 0}, made_{0, 0};
  View4<T> view_{};
};

at::Tensor conv2d_pool_backward_input_cpu(const at::Tensor& grad_out, const at::Tensor& offsets,
                                          const at::Tensor& weight, at::IntArrayRef input_size,
                                          at::IntArrayRef stride, at::IntArrayRef padding,
                                          at::IntArrayRef dilation, int64_t groups,
                                          at::IntArrayRef pool_size, at::IntArrayRef pool_stride,
                                          at::IntArrayRef pool_padding,
                                          at::IntArrayRef pool_dilation, bool ceil_mode,
                                          bool channels_last) {
  const ConvPool s = check_conv2d_pool_backward_input<int64_t>(
      grad_out, offsets, weight, input_size, {stride, padding, dilation, groups},
      {pool_size, pool_stride, pool_padding, pool_dilation, ceil_mode});
  at::Tensor grad_x = empty_result({s.conv.batch, s.conv.in_channels, s.conv.in_h, s.conv.in_w},
                                   grad_out.options(), image_format(channels_last));
  if (grad_x.numel() == 0) return grad_x;
  if (leaves_inputs_unwritten(s.conv)) grad_x.zero_();
  // Rows below the last window get no gradient, and a portion of nothing else leaves them
  // unwritten.
  const int64_t read = inputs_of({0, s.conv.out_h}, conv_rows(s), s.conv.in_h).others.count;
  if (read < s.conv.in_h) grad_x.narrow(2, read, s.conv.in_h - read).zero_();
  const Portions portions(s.conv.batch, s.conv.in_h, bytes_of_row(s, grad_out) / s.conv.stride_h,
                          4);
  const ConvRows layout(s, common_format(offsets, weight));
  const auto conv_outputs = [&](const Portion& p) {
    return outputs_of(p.rows, conv_rows(s), s.conv.out_h);
  };
  with_float_and_offset_type(
      grad_out.scalar_type(), offsets.scalar_type(), [&](auto type, auto offset_type) {
        using T = decltype(type);
        using Offset = decltype(offset_type);
        const Pooled<T, Offset> from(grad_out, offsets);
        const Conv2dBackwardInputArgs<T> whole{s.conv,
                                               view4<T>(grad_x),
                                               view4<const T>(weight),
                                               layout.view<const T>(nullptr, s.conv.out_h),
                                               nullptr,
                                               0};
        const bool channels_last = is_channels_last(whole.x);
        const Conv2dAlgorithm algorithm = algorithm_of(whole);
        for_portions<T>(
            portions, layout, [&](const Portion& p) { return conv_outputs(p).others.count; },
            [&](const Portion& p, T* data, const Machine& machine, bool keeps) {
              const RowMap conv = conv_outputs(p);
              Conv2dBackwardInputArgs<T> args = whole;
              args.shape = conv_of(s, p.images.count, p.rows.count, conv.others.count, conv.pad);
              args.x = part(whole.x, p.images, p.rows);
              args.out = constant(layout.view(data, conv.others.count));
              return conv2d_backward_input_work<T>(args, {channels_last, algorithm, keeps},
                                                   machine);
            },
            [&](const Portion& p, T* data, const auto& convolve) {
              const RowRange rows = conv_outputs(p).others;
              if (rows.count == 0) return;
              scatter<T, Offset>(s, from, p.images, rows, {0, s.conv.out_channels},
                                 layout.view(data, rows.count));
              convolve();
            });
      });
  return grad_x;
}

at::Tensor conv2d_pool_backward_weight_cpu(const at::Tensor& grad_out, const at::Tensor& offsets,
                                           const at::Tensor& x, at::IntArrayRef kernel_size,
                                           at::IntArrayRef stride, at::IntArrayRef padding,
                                           at::IntArrayRef dilation, int64_t groups,
                                           at::IntArrayRef pool_size, at::IntArrayRef pool_stride,
                                           at::IntArrayRef pool_padding,
                                           at::IntArrayRef pool_dilation, bool ceil_mode,
                                           bool channels_last) {
  const ConvPool s = check_conv2d_pool_backward_weight<int64_t>(
      grad_out, offsets, x, kernel_size, {stride, padding, dilation, groups},
      {pool_size, pool_stride, pool_padding, pool_dilation, ceil_mode});
  at::Tensor grad_weight = empty_result(
      {s.conv.out_channels, s.conv.group_in_channels(), s.conv.kernel_h, s.conv.kernel_w},
      grad_out.options(), image_format(channels_last));
  if (grad_weight.numel() == 0) return grad_weight;
  if (s.conv.batch == 0) return grad_weight.zero_();
  const ConvRows layout(s, common_format(offsets, x));
  with_float_and_offset_type(
      grad_out.scalar_type(), offsets.scalar_type(), [&](auto type, auto offset_type) {
        using T = decltype(type);
        using Offset = decltype(offset_type);
        const Pooled<T, Offset> from(grad_out, offsets);
        // Twice what is read at a time, so that what lies between rows of two images, read
        // together, is not made anew for each next pair of rows.
        const double most = static_cast<double>(portion_bytes());
        const auto most_rows = [&](int64_t rows, int64_t channels) {
          const double row_bytes = static_cast<double>(channels) * s.conv.out_w * sizeof(T);
          return std::max(2 * rows, static_cast<int64_t>(most / row_bytes));
        };
        const RowsMaker<T> maker{
            [&](int64_t rows, int64_t channels) {
              const ConvRows some = layout.of_channels(channels);
              return some.elements(most_rows(rows, channels)) * int64_t(sizeof(T));
            },
            [&](int64_t rows, int64_t channels, void* memory) {
              return std::make_unique<ScatteredRows<T, Offset>>(
                  s, from, layout, most_rows(rows, channels), static_cast<T*>(memory));
            }};
        compute_conv2d_backward_weight<T>({s.conv, view4<const T>(x), view4<T>(grad_weight),
                                           layout.view<const T>(nullptr, s.conv.out_h), nullptr, 0},
                                          &maker);
      });
  return grad_weight;
}

}  // namespace

TORCH_LIBRARY_IMPL(torchconv, CPU, m) {
  m.impl("conv2d_pool_backward_input", conv2d_pool_backward_input_cpu);
  m.impl("conv2d_pool_backward_weight", conv2d_pool_backward_weight_cpu);
}

}  // namespace torchconv
