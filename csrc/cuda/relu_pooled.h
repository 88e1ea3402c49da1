// relu after max-pooling on CUDA.
#pragma once

#include "cuda/device.h"

namespace torchconv::cuda {

/// What is up to zero becomes zero, and its offset, if there are any, -1.
template <class T, class Offset>
void launch_relu_pooled(const at::Tensor& on, T* out, Offset* offsets, int64_t elements);

}  // namespace torchconv::cuda
