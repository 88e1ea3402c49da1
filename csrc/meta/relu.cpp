// Results without data, for the meta device, FakeTensor and torch.compile: the checks and the
// shapes of the real kernel, from the same functions.
#include <ATen/ops/empty_strided.h>
#include <torch/library.h>

#include "activation_checks.h"
#include "meta/empty_like.h"

namespace torchconv {
namespace {

using c10::SymInt;

at::Tensor relu_meta(const at::Tensor& x) {
  check_relu("relu", x);
  return empty_meta_like(x, x.scalar_type());
}

std::tuple<at::Tensor, at::Tensor> relu_with_mask_meta(const at::Tensor& x, SymInt rows) {
  const SymInt bytes = check_relu_with_mask<SymInt>(x, x.sym_numel(), rows);
  return {empty_meta_like(x, x.scalar_type()),
          at::empty_symint({rows, bytes}, x.options().dtype(at::kByte))};
}

at::Tensor relu_backward_meta(const at::Tensor& grad_out, const at::Tensor& mask,
                              c10::SymIntArrayRef strides) {
  check_relu_backward<SymInt>(grad_out, grad_out.sym_numel(), mask, strides);
  const auto sizes = c10::asIntArrayRefSlowOpt(grad_out.sym_sizes());
  const auto known = c10::asIntArrayRefSlowOpt(strides);
  if (sizes && known) check_dense("relu_backward", *sizes, *known);
  return at::empty_strided_symint(grad_out.sym_sizes(), strides, grad_out.options());
}

}  // namespace

TORCH_LIBRARY_IMPL(torchconv, Meta, m) {
  m.impl("relu", relu_meta);
  m.impl("relu_with_mask", relu_with_mask_meta);
  m.impl("relu_backward", relu_backward_meta);
}

}  // namespace torchconv
