// Results without data, for the meta device, FakeTensor and torch.compile: the checks and the
// shapes of the real kernel, from the same functions.
#include <torch/library.h>

#include "max_pool2d_checks.h"
#include "meta/memory_format.h"

namespace torchconv {
namespace {

using c10::SymInt;
using c10::SymIntArrayRef;
using Shape = BasicPool2dShape<SymInt>;
using Window = PoolWindow<SymInt>;

at::Tensor empty_out(const Shape& s, const at::Tensor& like, at::ScalarType dtype) {
  return empty_with_format({s.batch, s.channels, s.out_h, s.out_w}, is_channels_last(like),
                           like.options().dtype(dtype));
}

at::Tensor max_pool2d_meta(const at::Tensor& x, SymIntArrayRef kernel_size, SymIntArrayRef stride,
                           SymIntArrayRef padding, SymIntArrayRef dilation, bool ceil_mode) {
  const Shape s = check_max_pool2d<SymInt>(
      "max_pool2d", x, Window{kernel_size, stride, padding, dilation, ceil_mode});
  return empty_out(s, x, x.scalar_type());
}

std::tuple<at::Tensor, at::Tensor> max_pool2d_with_offsets_meta(
    const at::Tensor& x, SymIntArrayRef kernel_size, SymIntArrayRef stride, SymIntArrayRef padding,
    SymIntArrayRef dilation, bool ceil_mode) {
  const Shape s = check_max_pool2d<SymInt>(
      "max_pool2d", x, Window{kernel_size, stride, padding, dilation, ceil_mode});
  return {empty_out(s, x, x.scalar_type()), empty_out(s, x, offset_dtype(s))};
}

at::Tensor max_pool2d_indices_meta(const at::Tensor& offsets, SymIntArrayRef input_size,
                                   SymIntArrayRef kernel_size, SymIntArrayRef stride,
                                   SymIntArrayRef padding, SymIntArrayRef dilation,
                                   bool ceil_mode) {
  const Shape s =
      check_max_pool2d_offsets<SymInt>("max_pool2d_indices", offsets, input_size,
                                       Window{kernel_size, stride, padding, dilation, ceil_mode});
  return empty_out(s, offsets, at::kLong);
}

at::Tensor max_pool2d_backward_meta(const at::Tensor& grad_out, const at::Tensor& offsets,
                                    SymIntArrayRef input_size, SymIntArrayRef kernel_size,
                                    SymIntArrayRef stride, SymIntArrayRef padding,
                                    SymIntArrayRef dilation, bool ceil_mode) {
  const Shape s = check_max_pool2d_backward<SymInt>(
      grad_out, offsets, input_size, Window{kernel_size, stride, padding, dilation, ceil_mode});
  return empty_with_format({s.batch, s.channels, s.in_h, s.in_w}, is_channels_last(offsets),
                           grad_out.options());
}

at::Tensor max_pool2d_gather_meta(const at::Tensor& x, const at::Tensor& offsets,
                                  SymIntArrayRef kernel_size, SymIntArrayRef stride,
                                  SymIntArrayRef padding, SymIntArrayRef dilation, bool ceil_mode) {
  const Shape s = check_max_pool2d_gather<SymInt>(
      x, offsets, Window{kernel_size, stride, padding, dilation, ceil_mode});
  return empty_out(s, offsets, x.scalar_type());
}

}  // namespace

TORCH_LIBRARY_IMPL(torchconv, Meta, m) {
  m.impl("max_pool2d", max_pool2d_meta);
  m.impl("max_pool2d_with_offsets", max_pool2d_with_offsets_meta);
  m.impl("max_pool2d_indices", max_pool2d_indices_meta);
  m.impl("max_pool2d_backward", max_pool2d_backward_meta);
  m.impl("max_pool2d_gather", max_pool2d_gather_meta);
}

}  // namespace torchconv
