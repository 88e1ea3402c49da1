// The CPU entries of linear and the gradient of its bias: checks, results, threads, then a kernel.
#include <torch/library.h>

#include "cpu/channel_sum.h"
#include "cpu/matmul.h"
#include "matmul_checks.h"

namespace torchconv {
namespace {

at::Tensor linear_cpu(const at::Tensor& x, const at::Tensor& weight,
                      const std::optional<at::Tensor>& bias) {
  at::Tensor out = empty_result(check_linear<int64_t>(x, weight, bias), x.options());
  const bool vector = x.dim() == 1;
  matmul_into(vector ? out.unsqueeze(0) : out, vector ? x.unsqueeze(0) : x, weight.t(), bias);
  return out;
}

at::Tensor linear_backward_bias_cpu(const at::Tensor& grad_out) {
  check_linear_backward_bias(grad_out);
  const int64_t channels = grad_out.size(-1);
  const at::Tensor rows = grad_out.dim() == 1 ? grad_out.unsqueeze(0) : grad_out.flatten(0, -2);
  at::Tensor grad_bias = empty_result({channels}, grad_out.options());
  with_float_type(grad_out.scalar_type(), [&](auto type) {
    using T = decltype(type);
    const View4<const T> x{data_of<const T>(rows), 0, rows.stride(1), 0, rows.stride(0)};
    channel_sum<T, uint8_t>({1, channels, 1, rows.size(0), x, {}, data_of<T>(grad_bias)});
  });
  return grad_bias;
}

}  // namespace

TORCH_LIBRARY_IMPL(torchconv, CPU, m) {
  m.impl("linear", linear_cpu);
  m.impl("linear_backward_bias", linear_backward_bias_cpu);
}

}  // namespace torchconv
