// Results without data, for the meta device, FakeTensor and torch.compile: the checks and the
// shapes of the real kernel, from the same functions.
#include "matmul_checks.h"

#include <ATen/ops/empty.h>
#include <torch/library.h>

namespace torchconv {
namespace {

at::Tensor matmul_meta(const at::Tensor& a, const at::Tensor& b) {
  return at::empty_symint(check_matmul<c10::SymInt>(a, b), a.options());
}

at::Tensor linear_meta(const at::Tensor& x, const at::Tensor& weight,
                       const std::optional<at::Tensor>& bias) {
  return at::empty_symint(check_linear<c10::SymInt>(x, weight, bias), x.options());
}

at::Tensor linear_backward_bias_meta(const at::Tensor& grad_out) {
  check_linear_backward_bias(grad_out);
  return at::empty_symint({grad_out.sym_size(-1)}, grad_out.options());
}

}  // namespace

TORCH_LIBRARY_IMPL(torchconv, Meta, m) {
  m.impl("matmul", matmul_meta);
  m.impl("linear", linear_meta);
  m.impl("linear_backward_bias", linear_backward_bias_meta);
}

}  // namespace torchconv
