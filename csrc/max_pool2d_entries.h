// The entries of max_pool2d, its gradients and its indices: checks and results, the same on every
// device.
#pragma once

#include <torch/library.h>

#include "max_pool2d_checks.h"
#include "typed.h"

namespace torchconv {

/// A Device has `empty(sizes, options, format)`, and computes from views to views:
/// `forward` writes args.out and, if there are any, args.offsets; `backward` writes args.x,
/// `gather` args.out, and `indices` its last argument. Each takes a tensor of the device first;
/// none is called for an empty result.
template <class Device>
struct MaxPool2dEntries {
  using Window = PoolWindow<int64_t>;
  using Ints = at::IntArrayRef;

  static at::Tensor empty_out(const Pool2dShape& s, const at::Tensor& like, at::ScalarType dtype) {
    return Device::empty({s.batch, s.channels, s.out_h, s.out_w}, like.options().dtype(dtype),
                         like.suggest_memory_format());
  }

  /// Fills out, and offsets if it is defined.
  static void compute(const Pool2dShape& s, const at::Tensor& x, const at::Tensor& out,
                      const at::Tensor& offsets) {
    if (out.numel() == 0) return;
    with_real_type(x.scalar_type(), [&](auto type) {
      with_offset_type(offset_dtype(s), [&](auto offset) {
        using T = decltype(type);
        using Offset = decltype(offset);
        const View4<Offset> view = offsets.defined() ? view4<Offset>(offsets) : View4<Offset>{};
        Device::template forward<T, Offset>(x, {s, view4<const T>(x), view4<T>(out), view});
      });
    });
  }

  /// Fills grad_x.
  static void compute_backward(const Pool2dShape& s, const at::Tensor& grad_x,
                               const at::Tensor& grad_out, const at::Tensor& offsets) {
    if (grad_x.numel() == 0) return;
    with_float_and_offset_type(
        grad_out.scalar_type(), offsets.scalar_type(), [&](auto type, auto offset) {
          using T = decltype(type);
          using Offset = decltype(offset);
          Device::template backward<T, Offset>(
              grad_x,
              {s, view4<T>(grad_x), view4<const T>(grad_out), view4<const Offset>(offsets)});
        });
  }

  static at::Tensor max_pool2d(const at::Tensor& x, Ints kernel_size, Ints stride, Ints padding,
                               Ints dilation, bool ceil_mode) {
    const Pool2dShape s = check_max_pool2d<int64_t>(
        "max_pool2d", x, Window{kernel_size, stride, padding, dilation, ceil_mode});
    at::Tensor out = empty_out(s, x, x.scalar_type());
    compute(s, x, out, {});
    return out;
  }

  static std::tuple<at::Tensor, at::Tensor> max_pool2d_with_offsets(const at::Tensor& x,
                                                                    Ints kernel_size, Ints stride,
                                                                    Ints padding, Ints dilation,
                                                                    bool ceil_mode) {
    const Pool2dShape s = check_max_pool2d<int64_t>(
        "max_pool2d", x, Window{kernel_size, stride, padding, dilation, ceil_mode});
    at::Tensor out = empty_out(s, x, x.scalar_type());
    at::Tensor offsets = empty_out(s, x, offset_dtype(s));
    compute(s, x, out, offsets);
    return {out, offsets};
  }

  static at::Tensor max_pool2d_backward(const at::Tensor& grad_out, const at::Tensor& offsets,
                                        Ints input_size, Ints kernel_size, Ints stride,
                                        Ints padding, Ints dilation, bool ceil_mode) {
    const Pool2dShape s = check_max_pool2d_backward<int64_t>(
        grad_out, offsets, input_size, Window{kernel_size, stride, padding, dilation, ceil_mode});
    at::Tensor grad_x = Device::empty({s.batch, s.channels, s.in_h, s.in_w}, grad_out.options(),
                                      offsets.suggest_memory_format());
    compute_backward(s, grad_x, grad_out, offsets);
    return grad_x;
  }

  static at::Tensor max_pool2d_gather(const at::Tensor& x, const at::Tensor& offsets,
                                      Ints kernel_size, Ints stride, Ints padding, Ints dilation,
                                      bool ceil_mode) {
    const Pool2dShape s = check_max_pool2d_gather<int64_t>(
        x, offsets, Window{kernel_size, stride, padding, dilation, ceil_mode});
    at::Tensor out = empty_out(s, offsets, x.scalar_type());
    if (out.numel() == 0) return out;
    with_float_and_offset_type(x.scalar_type(), offsets.scalar_type(), [&](auto type, auto offset) {
      using T = decltype(type);
      using Offset = decltype(offset);
      Device::template gather<T, Offset>(
          x, {s, view4<const T>(x), view4<T>(out), view4<const Offset>(offsets)});
    });
    return out;
  }

  static at::Tensor max_pool2d_indices(const at::Tensor& offsets, Ints input_size, Ints kernel_size,
                                       Ints stride, Ints padding, Ints dilation, bool ceil_mode) {
    const Pool2dShape s = check_max_pool2d_offsets<int64_t>(
        "max_pool2d_indices", offsets, input_size,
        Window{kernel_size, stride, padding, dilation, ceil_mode});
    at::Tensor indices = empty_out(s, offsets, at::kLong);
    if (indices.numel() == 0) return indices;
    with_offset_type(offsets.scalar_type(), [&](auto offset) {
      using Offset = decltype(offset);
      Device::template indices<Offset>(offsets, s, view4<const Offset>(offsets),
                                       view4<int64_t>(indices));
    });
    return indices;
  }

  static void register_in(torch::Library& m) {
    m.impl("max_pool2d", max_pool2d);
    m.impl("max_pool2d_with_offsets", max_pool2d_with_offsets);
    m.impl("max_pool2d_indices", max_pool2d_indices);
    m.impl("max_pool2d_backward", max_pool2d_backward);
    m.impl("max_pool2d_gather", max_pool2d_gather);
  }
};

}  // namespace torchconv
