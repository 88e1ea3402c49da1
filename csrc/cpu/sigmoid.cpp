#include <torch/library.h>

#include "activation_checks.h"
#include "cpu/elementwise.h"

namespace torchconv {
namespace {

at::Tensor sigmoid_cpu(const at::Tensor& x) {
  const at::ScalarType dtype = check_sigmoid(x);
  const at::Tensor input = x.scalar_type() == dtype ? x : x.to(dtype);
  at::Tensor out = empty_result_like(x, dtype);
  with_float_type(dtype, [&](auto type) {
    using T = decltype(type);
    auto* const kernel = kernels().of(type).sigmoid;
    map_elements<T, 1>(out, {input}, [&](const auto& in, T* o, int64_t n) { kernel(in[0], o, n); });
  });
  return out;
}

at::Tensor sigmoid_backward_cpu(const at::Tensor& grad_out, const at::Tensor& out) {
  check_activation_backward("sigmoid_backward", grad_out, out);
  at::Tensor grad_x = empty_result_like(out, out.scalar_type());
  with_float_type(out.scalar_type(), [&](auto type) {
    using T = decltype(type);
    auto* const kernel = kernels().of(type).sigmoid_backward;
    map_elements<T, 2>(grad_x, {grad_out, out},
                       [&](const auto& in, T* o, int64_t n) { kernel(in[0], in[1], o, n); });
  });
  return grad_x;
}

}  // namespace

TORCH_LIBRARY_IMPL(torchconv, CPU, m) {
  m.impl("sigmoid", sigmoid_cpu);
  m.impl("sigmoid_backward", sigmoid_backward_cpu);
}

}  // namespace torchconv
