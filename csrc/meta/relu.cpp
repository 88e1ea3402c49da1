// Results without data, for the meta device, FakeTensor and torch.compile: the checks and the
// shapes of the real kernel, from the same functions.
#include <torch/library.h>

#include "activation_checks.h"
#include "meta/empty_like.h"

namespace torchconv {
namespace {

at::Tensor relu_meta(const at::Tensor& x) {
  check_relu(x);
  return empty_meta_like(x, x.scalar_type());
}

at::Tensor relu_backward_meta(const at::Tensor& grad_out, const at::Tensor& out) {
  check_activation_backward("relu_backward", grad_out, out);
  return empty_meta_like(out, out.scalar_type());
}

}  // namespace

TORCH_LIBRARY_IMPL(torchconv, Meta, m) {
  m.impl("relu", relu_meta);
  m.impl("relu_backward", relu_backward_meta);
}

}  // namespace torchconv
