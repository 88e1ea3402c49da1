// sigmoid on CUDA, into a tensor that is there.
#pragma once

#include <ATen/core/Tensor.h>

namespace torchconv::cuda {

/// Both dense, laid out alike; they may be the same.
void sigmoid_into(const at::Tensor& out, const at::Tensor& x);

}  // namespace torchconv::cuda
