// sigmoid and its gradient on CUDA: checks and results.
#include "cuda/sigmoid.h"

#include "activation_checks.h"
#include "cuda/laid_out.h"
#include "cuda/register.h"
#include "typed.h"

namespace torchconv {
namespace cuda {

void sigmoid_into(const at::Tensor& out, const at::Tensor& x) {
  with_float_type(out.scalar_type(), [&](auto type) {
    using T = decltype(type);
    launch_sigmoid(out, data_of<const T>(x), data_of<T>(out), out.numel());
  });
}

}  // namespace cuda

namespace {

at::Tensor sigmoid_cuda(const at::Tensor& x) {
  const at::ScalarType dtype = check_sigmoid(x);
  const at::Tensor input = x.scalar_type() == dtype ? x : x.to(dtype);
  const at::Tensor out = dense_like(input);
  cuda::sigmoid_into(out, cuda::laid_out_as(input, out));
  return out;
}

at::Tensor sigmoid_backward_cuda(const at::Tensor& grad_out, const at::Tensor& out) {
  check_sigmoid_backward(grad_out, out);
  const at::Tensor grad_x = dense_like(out);
  const at::Tensor grad = cuda::laid_out_as(grad_out, grad_x);
  const at::Tensor saved = cuda::laid_out_as(out, grad_x);
  with_float_type(out.scalar_type(), [&](auto type) {
    using T = decltype(type);
    cuda::launch_sigmoid_backward(grad_x, data_of<const T>(grad), data_of<const T>(saved),
                                  data_of<T>(grad_x), grad_x.numel());
  });
  return grad_x;
}

}  // namespace

TORCHCONV_CUDA_LIBRARY(m) {
  m.impl("sigmoid", sigmoid_cuda);
  m.impl("sigmoid_backward", sigmoid_backward_cuda);
}

}  // namespace torchconv
