// relu and its gradient on CUDA, of elements that all operands have in the same order. The mask has
// a bit for each element, in rows of whole bytes: csrc/library.cpp.
#pragma once

#include "cuda/device.h"

namespace torchconv::cuda {

template <class T>
void launch_relu(const at::Tensor& on, const T* x, T* out, int64_t elements);
template <class T>
void launch_relu_with_mask(const at::Tensor& on, const T* x, T* out, uint8_t* mask,
                           int64_t elements, int64_t rows);
template <class T>
void launch_relu_backward(const at::Tensor& on, const T* grad_out, const uint8_t* mask, T* grad_x,
                          int64_t elements, int64_t rows);

}  // namespace torchconv::cuda
