// Tensors whose elements lie as those of another.
#pragma once

#include <ATen/ops/empty_strided.h>

#include "layouts.h"

namespace torchconv::cuda {

/// The tensor, or a copy of it, whose elements lie as those of `like`, which is dense.
inline at::Tensor laid_out_as(const at::Tensor& tensor, const at::Tensor& like) {
  if (lies_as(tensor, like.strides())) return tensor;
  return at::empty_strided(like.sizes(), like.strides(), tensor.options()).copy_(tensor);
}

}  // namespace torchconv::cuda
