// Results without data, for the meta device, FakeTensor and torch.compile: the checks and the
// shapes of the real kernel, from the same functions.
#include <torch/library.h>

#include "activation_checks.h"
#include "meta/empty_like.h"

namespace torchconv {
namespace {

at::Tensor sigmoid_meta(const at::Tensor& x) { return empty_meta_like(x, check_sigmoid(x)); }

at::Tensor sigmoid_backward_meta(const at::Tensor& grad_out, const at::Tensor& out) {
  check_sigmoid_backward(grad_out, out);
  return empty_meta_like(out, out.scalar_type());
}

}  // namespace

TORCH_LIBRARY_IMPL(torchconv, Meta, m) {
  m.impl("sigmoid", sigmoid_meta);
  m.impl("sigmoid_backward", sigmoid_backward_meta);
}

}  // namespace torchconv
