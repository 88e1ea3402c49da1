// sigmoid and its gradient on CUDA, of elements that all operands have in the same order; the
// result may lie where an operand does.
#pragma once

#include "cuda/device.h"

namespace torchconv::cuda {

template <class T>
void launch_sigmoid(const at::Tensor& on, const T* x, T* out, int64_t elements);
template <class T>
void launch_sigmoid_backward(const at::Tensor& on, const T* grad_out, const T* out, T* grad_x,
                             int64_t elements);

/// Of a dense tensor, into one that is laid out alike; they may be the same.
void sigmoid_into(const at::Tensor& out, const at::Tensor& x);

}  // namespace torchconv::cuda
