// linear and the gradient of its bias on CUDA.
#include <ATen/ops/empty.h>

#include "cuda/channel_sum.h"
#include "cuda/matmul.h"
#include "cuda/register.h"
#include "matmul_checks.h"
#include "typed.h"

namespace torchconv {
namespace {

at::Tensor linear_cuda(const at::Tensor& x, const at::Tensor& weight,
                       const std::optional<at::Tensor>& bias) {
  at::Tensor out = at::empty(check_linear<int64_t>(x, weight, bias), x.options());
  const bool vector = x.dim() == 1;
  cuda::matmul_into(vector ? out.unsqueeze(0) : out, vector ? x.unsqueeze(0) : x, weight.t(), bias);
  return out;
}

at::Tensor linear_backward_bias_cuda(const at::Tensor& grad_out) {
  check_linear_backward_bias(grad_out);
  const at::Tensor rows = grad_out.dim() == 1 ? grad_out.unsqueeze(0) : grad_out.flatten(0, -2);
  at::Tensor grad_bias = at::empty({grad_out.size(-1)}, grad_out.options());
  with_float_type(rows.scalar_type(), [&](auto type) {
    using T = decltype(type);
    const View4<const T> view{data_of<const T>(rows), rows.stride(0), rows.stride(1), 0, 0};
    cuda::launch_channel_sum<T, uint8_t>(
        rows, {{rows.size(0), rows.size(1), 1, 1}, view, {}, data_of<T>(grad_bias)});
  });
  return grad_bias;
}

}  // namespace

TORCHCONV_CUDA_LIBRARY(m) {
  m.impl("linear", linear_cuda);
  m.impl("linear_backward_bias", linear_backward_bias_cuda);
}

}  // namespace torchconv
