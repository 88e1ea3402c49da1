// max_pool2d and its gradient on CUDA, of validated shapes, into tensors that are there.
#pragma once

#include <ATen/core/Tensor.h>

#include "shapes.h"

namespace torchconv::cuda {

/// Offsets need not be defined.
void max_pool2d_into(const at::Tensor& out, const at::Tensor& offsets, const at::Tensor& x,
                     const Pool2dShape& s);
void max_pool2d_backward_into(const at::Tensor& grad_x, const at::Tensor& grad_out,
                              const at::Tensor& offsets, const Pool2dShape& s);

}  // namespace torchconv::cuda
