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
  check_sigmoid_backward(grad_out, out);
  return with_float_type(out.scalar_type(), [&](auto type) {
    using T = decltype(type);
    auto* const kernel = kernels().of(type).sigmoid_backward;
    const bool large = past_caches(out.numel() * int64_t(sizeof(T)));
    return map_elements<T, 2>(empty_result_like(out), {grad_out, out},
                              [&](const auto& in, T* o, int64_t n, bool buffered) {
                                kernel(in[0], in[1], o, n, large && !buffered);
                              });
  });
}

}  // namespace

TORCH_LIBRARY_IMPL(torchconv, CPU, m) {
  m.impl("sigmoid", sigmoid_cpu);
  m.impl("sigmoid_backward", sigmoid_backward_cpu);
}

}  // namespace torchconv
