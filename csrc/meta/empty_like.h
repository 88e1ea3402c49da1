// A result without data that has the layout of another tensor.
#pragma once

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

namespace torchconv {

/// The strides of `like`, or contiguous ones if it has no elements, as in torch.
inline at::Tensor empty_meta_like(const at::Tensor& like, at::ScalarType dtype) {
  const at::TensorOptions options = like.options().dtype(dtype);
  const bool empty = TORCH_GUARD_OR_FALSE(like.sym_numel().sym_eq(0));
  return empty ? at::empty_symint(like.sym_sizes(), options) : at::empty_like(like, options);
}

}  // namespace torchconv
