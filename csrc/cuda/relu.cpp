// relu and its gradient on CUDA: checks and results.
#include "cuda/relu.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_strided.h>

#include "activation_checks.h"
#include "cuda/laid_out.h"
#include "cuda/register.h"
#include "typed.h"

namespace torchconv {
namespace {

at::Tensor relu_cuda(const at::Tensor& x) {
  check_relu("relu", x);
  const at::Tensor out = dense_like(x);
  const at::Tensor from = cuda::laid_out_as(x, out);
  with_real_type(x.scalar_type(), [&](auto type) {
    using T = decltype(type);
    cuda::launch_relu(out, data_of<const T>(from), data_of<T>(out), out.numel());
  });
  return out;
}

std::tuple<at::Tensor, at::Tensor> relu_with_mask_cuda(const at::Tensor& x, int64_t rows) {
  const int64_t bytes = check_relu_with_mask<int64_t>(x, x.numel(), rows);
  const at::Tensor out = dense_like(x);
  const at::Tensor mask = at::empty({rows, bytes}, x.options().dtype(at::kByte));
  const at::Tensor from = cuda::laid_out_as(x, out);
  with_real_type(x.scalar_type(), [&](auto type) {
    using T = decltype(type);
    cuda::launch_relu_with_mask(out, data_of<const T>(from), data_of<T>(out),
                                data_of<uint8_t>(mask), x.numel(), rows);
  });
  return {out, mask};
}

at::Tensor relu_backward_cuda(const at::Tensor& grad_out, const at::Tensor& mask,
                              at::IntArrayRef strides) {
  check_relu_backward<int64_t>(grad_out, grad_out.numel(), mask, strides);
  check_dense("relu_backward", grad_out.sizes(), strides);
  const at::Tensor grad_x = at::empty_strided(grad_out.sizes(), strides, grad_out.options());
  const at::Tensor from = cuda::laid_out_as(grad_out, grad_x);
  const at::Tensor ordered = mask.contiguous();
  with_float_type(grad_out.scalar_type(), [&](auto type) {
    using T = decltype(type);
    cuda::launch_relu_backward(grad_x, data_of<const T>(from), data_of<const uint8_t>(ordered),
                               data_of<T>(grad_x), grad_out.numel(), mask.size(0));
  });
  return grad_x;
}

}  // namespace

TORCHCONV_CUDA_LIBRARY(m) {
  m.impl("relu", relu_cuda);
  m.impl("relu_with_mask", relu_with_mask_cuda);
  m.impl("relu_backward", relu_backward_cuda);
}

}  // namespace torchconv
