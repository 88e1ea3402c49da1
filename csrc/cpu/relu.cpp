// The CPU entries of relu and its gradient: checks, results, threads, then a kernel.
#include <torch/library.h>

#include "cpu/elementwise.h"

namespace torchconv {
namespace {

/// Calls fn(T{}) with any type that relu accepts.
template <class Fn>
auto with_relu_type(at::ScalarType dtype, const Fn& fn) {
  switch (dtype) {
    case at::kByte:
      return fn(uint8_t{});
    case at::kChar:
      return fn(int8_t{});
    case at::kShort:
      return fn(int16_t{});
    case at::kInt:
      return fn(int32_t{});
    case at::kLong:
      return fn(int64_t{});
    default:
      return with_float_type(dtype, fn);
  }
}

at::Tensor relu_cpu(const at::Tensor& x) {
  check_relu(x);
  return with_relu_type(x.scalar_type(), [&](auto type) {
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
