// What relu flattens in pooled images: their offsets become -1, and nothing flows back to them.
#pragma once

#include "cuda/device.h"
#include "views.h"

namespace torchconv::cuda {

/// out = grad_out where offsets are not -1, else 0; dense, of these four sizes.
template <class T, class Offset>
void flatten(const at::Tensor& on, const View4<const T>& grad_out,
             const View4<const Offset>& offsets, T* out, const int64_t* sizes);

/// relu after pooling: what is up to zero becomes zero, and its offset, if there are any, -1.
template <class T, class Offset>
void relu_pooled(const at::Tensor& on, T* out, Offset* offsets, int64_t elements);

}  // namespace torchconv::cuda
