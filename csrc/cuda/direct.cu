// Convolutions in groups of few channels on CUDA: what kernels are told of tensors, and which of
// them computes what.
#include "cuda/direct.h"

#include "cuda/direct_any.cuh"
#include "cuda/direct_kernels.cuh"
#include "cuda/direct_tensors.cuh"

namespace torchconv::cuda {
namespace {

/// Of the gradient of the input, whose taps are turned round.
DirectLine<int64_t> backward_line(int64_t out, int64_t in, int64_t stride, int64_t kernel,
                                  int64_t dilation, int64_t pad) {
  return {out, in, 1, stride, kernel, dilation, pad - (kernel - 1) * dilation};
}

template <class T, class Index>
void correlate_any(const at::Tensor& on, const DirectArgs<T, T, int64_t>& args) {
  const auto start = [&](const auto& body) { launch(on, body, body.items()); };
  if (!channels_adjoin(args)) return start(DirectAny<T, Index, false>(args));
  at::Tensor weights;
  start(DirectAny<T, Index, true>(with_turned_weights(on, &weights, args)));
}

template <class T>
void correlate(const at::Tensor& on, const DirectArgs<T, T, int64_t>& args) {
  if (!fits_in_32_bits(args)) return correlate_any<T, int64_t>(on, args);
  const bool done =
      channels_adjoin(args) ? correlate_channels(on, args) : correlate_columns(on, args);
  if (!done) correlate_any<T, int32_t>(on, args);
}

}  // namespace

void direct_conv2d(const at::Tensor& out, const at::Tensor& x, const at::Tensor& weight,
                   const std::optional<at::Tensor>& bias, const Conv2dShape& s) {
  with_float_type(out.scalar_type(), [&](auto type) {
    using T = decltype(type);
    const Places<const T, int64_t> w = places_of<const T>(weight);
    const int64_t group_dest = s.group_out_channels();
    correlate<T>(out, {s.batch,
                       s.out_channels,
                       group_dest,
                       s.group_in_channels(),
                       forward_rows(s),
                       forward_columns(s),
                       places_of<const T>(x),
                       places_of<T>(out),
                       {w.data, group_dest * w.n, w.n, w.c, w.h, w.w},
                       bias ? data_of<const T>(*bias) : nullptr,
                       bias ? bias->stride(0) : 0});
  });
}

void direct_conv2d_backward_input(const at::Tensor& grad_x, const at::Tensor& grad_out,
                                  const at::Tensor& weight, const Conv2dShape& s) {
  with_float_type(grad_x.scalar_type(), [&](auto type) {
    using T = decltype(type);
    const Places<const T, int64_t> w = places_of<const T>(weight);
    const T* last_tap = w.data + (s.kernel_h - 1) * w.h + (s.kernel_w - 1) * w.w;
    correlate<T>(grad_x,
                 {s.batch,
                  s.in_channels,
                  s.group_in_channels(),
                  s.group_out_channels(),
                  backward_line(s.out_h, s.in_h, s.stride_h, s.kernel_h, s.dilation_h, s.pad_top),
                  backward_line(s.out_w, s.in_w, s.stride_w, s.kernel_w, s.dilation_w, s.pad_left),
                  places_of<const T>(grad_out),
                  places_of<T>(grad_x),
                  {last_tap, s.group_out_channels() * w.n, w.c, w.n, -w.h, -w.w},
                  nullptr,
                  0});
  });
}

}  // namespace torchconv::cuda
