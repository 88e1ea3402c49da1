// The CPU entries of relu and its gradient: checks, results, threads, then a kernel.
#include <torch/library.h>

#include "cpu/elementwise.h"

namespace torchconv {
namespace {

at::Tensor relu_cpu(const at::Tensor& x) {
  check_relu(x);
  return with_real_type(x.scalar_type(), [&](auto type) {
    return map_unary<decltype(type)>(x, [](const auto& kernels) { return kernels.relu; });
  });
}

at::Tensor relu_backward_cpu(const at::Tensor& grad_out, const at::Tensor& out) {
  return activation_backward("relu_backward", grad_out, out,
                             [](const auto& kernels) { return kernels.relu_backward; });
}

}  // namespace

TORCH_LIBRARY_IMPL(torchconv, CPU, m) {
  m.impl("relu", relu_cpu);
  m.impl("relu_backward", relu_backward_cpu);
}

}  // namespace torchconv
