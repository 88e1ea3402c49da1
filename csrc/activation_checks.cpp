#include "activation_checks.h"

#include <c10/core/DefaultDtype.h>

#include <algorithm>
#include <numeric>

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

void check_dense(const char* op, at::IntArrayRef sizes, at::IntArrayRef strides) {
  std::vector<size_t> order(sizes.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return strides[a] < strides[b]; });
  int64_t expected = 1;
  bool dense = true;
  for (const size_t d : order) {
    if (sizes[d] == 1) continue;
    dense = dense && strides[d] == expected;
    expected *= sizes[d];
  }
  dense = dense || std::find(sizes.begin(), sizes.end(), 0) != sizes.end();
  TORCHCONV_EXPECT(dense, op, strides, "strides to be those of a dense tensor of sizes ", sizes);
}

}  // namespace torchconv
