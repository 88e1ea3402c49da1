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

void check_relu(const at::Tensor& x) {
  const at::ScalarType dtype = x.scalar_type();
  const bool integer = dtype == at::kByte || dtype == at::kChar || dtype == at::kShort ||
                       dtype == at::kInt || dtype == at::kLong;
  const bool floating =
      dtype == at::kFloat || dtype == at::kDouble || dtype == at::kBFloat16 || dtype == at::kHalf;
  TORCHCONV_EXPECT(integer || floating, "relu", dtype_name(dtype),
                   "x.dtype to be float32, float64, bfloat16, float16 or an integer");
}

void check_activation_backward(const char* op, const at::Tensor& grad_out, const at::Tensor& out) {
  check_floating(op, grad_out, "grad_out");
  check_same(op, out, "out", grad_out, "grad_out");
  check_shape<c10::SymInt>(op, out, "out", grad_out.sym_sizes());
}

}  // namespace torchconv
