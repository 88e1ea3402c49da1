// The CPU entries of sigmoid and its gradient: checks, results, threads, then a kernel.
#include <torch/library.h>

#include "cpu/elementwise.h"

namespace torchconv {
namespace {

at::Tensor sigmoid_cpu(const at::Tensor& x) {
  const at::ScalarType dtype = check_sigmoid(x);
  const at::Tensor input = x.scalar_type() == dtype ? x : x.to(dtype);
  return with_float_type(dtype, [&](auto type) {
    return map_unary<decltype(type)>(input, [](const auto& kernels) { return kernels.sigmoid; });
  });
}

at::Tensor sigmoid_backward_cpu(const at::Tensor& grad_out, const at::Tensor& out) {
  return activation_backward("sigmoid_backward", grad_out, out,
                             [](const auto& kernels) { return kernels.sigmoid_backward; });
}

}  // namespace

TORCH_LIBRARY_IMPL(torchconv, CPU, m) {
  m.impl("sigmoid", sigmoid_cpu);
  m.impl("sigmoid_backward", sigmoid_backward_cpu);
}

}  // namespace torchconv
