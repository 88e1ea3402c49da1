#include <torch/library.h>

#include "activation_checks.h"
#include "cpu/elementwise.h"

namespace torchconv {
namespace {

/// Calls fn(T{}) with any type that relu accepts.
template <class Fn>
void with_relu_type(at::ScalarType dtype, const Fn& fn) {
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
  at::Tensor out = empty_result_like(x, x.scalar_type());
  with_relu_type(x.scalar_type(), [&](auto type) {
    using T = decltype(type);
    auto* const kernel = kernels().of(type).relu;
    map_elements<T, 1>(out, {x}, [&](const auto& in, T* o, int64_t n) { kernel(in[0], o, n); });
  });
  return out;
}

at::Tensor relu_backward_cpu(const at::Tensor& grad_out, const at::Tensor& out) {
  check_activation_backward("relu_backward", grad_out, out);
  at::Tensor grad_x = empty_result_like(out, out.scalar_type());
  with_float_type(out.scalar_type(), [&](auto type) {
    using T = decltype(type);
    auto* const kernel = kernels().of(type).relu_backward;
    map_elements<T, 2>(grad_x, {grad_out, out},
                       [&](const auto& in, T* o, int64_t n) { kernel(in[0], in[1], o, n); });
  });
  return grad_x;
}

}  // namespace

TORCH_LIBRARY_IMPL(torchconv, CPU, m) {
  m.impl("relu", relu_cpu);
  m.impl("relu_backward", relu_backward_cpu);
}

}  // namespace torchconv
