// Convolutions in groups of few channels on CUDA: what kernels are told of tensors.
#include "cuda/direct.h"

#include "cuda/direct_kernels.h"
#include "typed.h"

namespace torchconv::cuda {
namespace {

template <class T>
Places<T, int64_t> places_of(const at::Tensor& tensor) {
  const auto stride = [&](int64_t d) { return tensor.size(d) == 1 ? 0 : tensor.stride(d); };
  return {data_of<T>(tensor), stride(0), stride(1), stride(2), stride(3)};
}

DirectLine<int64_t> forward_rows(const Conv2dShape& s) {
  return {s.in_h, s.out_h, s.stride_h, 1, s.kernel_h, s.dilation_h, -s.pad_top};
}
DirectLine<int64_t> forward_columns(const Conv2dShape& s) {
  return {s.in_w, s.out_w, s.stride_w, 1, s.kernel_w, s.dilation_w, -s.pad_left};
}

/// Of the gradient of the input, whose taps are turned round.
DirectLine<int64_t> backward_line(int64_t out, int64_t in, int64_t stride, int64_t kernel,
                                  int64_t dilation, int64_t pad) {
  return {out, in, 1, stride, kernel, dilation, pad - (kernel - 1) * dilation};
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

void direct_conv2d_backward_weight(const at::Tensor& grad_weight, const at::Tensor& grad_out,
                                   const at::Tensor& x, const Conv2dShape& s) {
  with_float_type(x.scalar_type(), [&](auto type) {
    using T = decltype(type);
    correlate_weight<T>(x,
                        {s.batch,
                         s.out_channels,
                         s.group_out_channels(),
                         s.group_in_channels(),
                         forward_rows(s),
                         forward_columns(s),
                         places_of<const T>(x),
                         places_of<const T>(grad_out),
                         {},
                         nullptr,
                         0},
                        places_of<T>(grad_weight));
  });
}

}  // namespace torchconv::cuda
