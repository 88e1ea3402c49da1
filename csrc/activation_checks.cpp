#include "activation_checks.h"

#include <c10/core/DefaultDtype.h>

namespace torchconv {

at::ScalarType check_sigmoid(const at::Tensor& x) {
  if (at::isIntegralType(x.scalar_type(), /*includeBool=*/true)) {
    return c10::get_default_dtype_as_scalartype();
  }
  check_floating("sigmoid", x, "x");
  return x.scalar_type();
}

void check_sigmoid_backward(const at::Tensor& grad_out, const at::Tensor& out) {
  const char* op = "sigmoid_backward";
  check_floating(op, grad_out, "grad_out");
  check_same(op, out, "out", grad_out, "grad_out");
  check_shape<c10::SymInt>(op, out, "out", grad_out.sym_sizes());
}

void check_relu(const char* op, const at::Tensor& x) { check_real(op, x, "x"); }

}  // namespace torchconv
