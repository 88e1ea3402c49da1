// The CPU entries of max_pool2d, its gradients and its indices: checks and results.
#include "cpu/max_pool2d.h"

#include <torch/library.h>

#include "max_pool2d_checks.h"

namespace torchconv {
namespace {

using Window = PoolWindow<int64_t>;

at::Tensor empty_out(const Pool2dShape& s, const at::Tensor& x, at::ScalarType dtype) {
  return empty_result({s.batch, s.channels, s.out_h, s.out_w}, x.options().dtype(dtype),
                      x.suggest_memory_format());
}

/// Fills out, and offsets if it is defined.
void max_pool2d_into(const Pool2dShape& s, const at::Tensor& x, const at::Tensor& out,
                     const at::Tensor& offsets) {
  if (out.numel() == 0) return;
  with_real_type(x.scalar_type(), [&](auto type) {
    with_offset_type(offset_dtype(s), [&](auto offset) {
      using T = decltype(type);
      using Offset = decltype(offset);
      const View4<Offset> view = offsets.defined() ? view4<Offset>(offsets) : View4<Offset>{};
      compute_max_pool2d<T, Offset>({s, view4<const T>(x), view4<T>(out), view});
    });
  });
}

at::Tensor max_pool2d_cpu(const at::Tensor& x, at::IntArrayRef kernel_size, at::IntArrayRef stride,
                          at::IntArrayRef padding, at::IntArrayRef dilation, bool ceil_mode) {
  const Pool2dShape s = check_max_pool2d<int64_t>(
      "max_pool2d", x, Window{kernel_size, stride, padding, dilation, ceil_mode});
  at::Tensor out = empty_out(s, x, x.scalar_type());
  max_pool2d_into(s, x, out, {});
  return out;
}

std::tuple<at::Tensor, at::Tensor> max_pool2d_with_offsets_cpu(
    const at::Tensor& x, at::IntArrayRef kernel_size, at::IntArrayRef stride,
    at::IntArrayRef padding, at::IntArrayRef dilation, bool ceil_mode) {
  const Pool2dShape s = check_max_pool2d<int64_t>(
      "max_pool2d", x, Window{kernel_size, stride, padding, dilation, ceil_mode});
  at::Tensor out = empty_out(s, x, x.scalar_type());
  at::Tensor offsets = empty_out(s, x, offset_dtype(s));
  max_pool2d_into(s, x, out, offsets);
  return {out, offsets};
}

at::Tensor max_pool2d_backward_cpu(const at::Tensor& grad_out, const at::Tensor& offsets,
                                   at::IntArrayRef input_size, at::IntArrayRef kernel_size,
                                   at::IntArrayRef stride, at::IntArrayRef padding,
                                   at::IntArrayRef dilation, bool ceil_mode) {
  const Pool2dShape s = check_max_pool2d_backward<int64_t>(
      grad_out, offsets, input_size, Window{kernel_size, stride, padding, dilation, ceil_mode});
  at::Tensor grad_x = empty_result({s.batch, s.channels, s.in_h, s.in_w}, grad_out.options(),
                                   offsets.suggest_memory_format());
  if (grad_x.numel() == 0) return grad_x;
  with_float_and_offset_type(
      grad_out.scalar_type(), offsets.scalar_type(), [&](auto type, auto offset) {
        using T = decltype(type);
        using Offset = decltype(offset);
        compute_max_pool2d_backward<T, Offset>(
            {s, view4<T>(grad_x), view4<const T>(grad_out), view4<const Offset>(offsets)});
      });
  return grad_x;
}

at::Tensor max_pool2d_gather_cpu(const at::Tensor& x, const at::Tensor& offsets,
                                 at::IntArrayRef kernel_size, at::IntArrayRef stride,
                                 at::IntArrayRef padding, at::IntArrayRef dilation,
                                 bool ceil_mode) {
  const Pool2dShape s = check_max_pool2d_gather<int64_t>(
      x, offsets, Window{kernel_size, stride, padding, dilation, ceil_mode});
  at::Tensor out = empty_out(s, offsets, x.scalar_type());
  if (out.numel() == 0) return out;
  with_float_and_offset_type(x.scalar_type(), offsets.scalar_type(), [&](auto type, auto offset) {
    using T = decltype(type);
    using Offset = decltype(offset);
    compute_max_pool2d_gather<T, Offset>(
        {s, view4<const T>(x), view4<T>(out), view4<const Offset>(offsets)});
  });
  return out;
}

/// Positions of the maxima in the flat, unpadded plane, as torch counts them. A window that lies
/// wholly in the padding, or an offset that points there, gives -1.
template <class Offset>
void offsets_to_indices(const Pool2dShape& s, const View4<const Offset>& offsets,
                        const View4<int64_t>& indices, int64_t begin, int64_t end) {
  for (int64_t item = begin; item < end; ++item) {
    const int64_t out_row = item % s.out_h, channel = item / s.out_h % s.channels;
    const int64_t image = item / s.out_h / s.channels;
    const Offset* from =
        offsets.data + image * offsets.n + channel * offsets.c + out_row * offsets.h;
    int64_t* to = indices.data + image * indices.n + channel * indices.c + out_row * indices.h;
    for (int64_t out_col = 0; out_col < s.out_w; ++out_col) {
      const int64_t offset = from[out_col * offsets.w];
      const int64_t row = out_row * s.stride_h - s.pad_h + offset / s.kernel_w * s.dilation_h;
      const int64_t col = out_col * s.stride_w - s.pad_w + offset % s.kernel_w * s.dilation_w;
      const bool inside = offset >= 0 && offset < s.kernel_h * s.kernel_w && row >= 0 &&
                          row < s.in_h && col >= 0 && col < s.in_w;
      to[out_col * indices.w] = inside ? row * s.in_w + col : -1;
    }
  }
}

at::Tensor max_pool2d_indices_cpu(const at::Tensor& offsets, at::IntArrayRef input_size,
                                  at::IntArrayRef kernel_size, at::IntArrayRef stride,
                                  at::IntArrayRef padding, at::IntArrayRef dilation,
                                  bool ceil_mode) {
  const Pool2dShape s =
      check_max_pool2d_offsets<int64_t>("max_pool2d_indices", offsets, input_size,
                                        Window{kernel_size, stride, padding, dilation, ceil_mode});
  at::Tensor indices = empty_out(s, offsets, at::kLong);
  parallel(s.batch * s.channels * s.out_h, s.out_w, [&](int64_t begin, int64_t end) {
    if (offsets.scalar_type() == at::kByte) {
      offsets_to_indices(s, view4<const uint8_t>(offsets), view4<int64_t>(indices), begin, end);
    } else {
      offsets_to_indices(s, view4<const int32_t>(offsets), view4<int64_t>(indices), begin, end);
    }
  });
  return indices;
}

}  // namespace

TORCH_LIBRARY_IMPL(torchconv, CPU, m) {
  m.impl("max_pool2d", max_pool2d_cpu);
  m.impl("max_pool2d_with_offsets", max_pool2d_with_offsets_cpu);
  m.impl("max_pool2d_indices", max_pool2d_indices_cpu);
  m.impl("max_pool2d_backward", max_pool2d_backward_cpu);
  m.impl("max_pool2d_gather", max_pool2d_gather_cpu);
}

}  // namespace torchconv
