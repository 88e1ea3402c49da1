// Memory formats of images without data, whose sizes may be symbolic. An unbacked size has no value
// while a graph is traced; it counts as larger than 1.
#pragma once

#include <ATen/ops/empty_strided.h>

#include <array>

#include "checks.h"

namespace torchconv {

/// The rule of Tensor::suggest_memory_format, which raises an error for an unbacked size.
inline bool is_channels_last(const at::Tensor& image) {
  const auto sizes = image.sym_sizes(), strides = image.sym_strides();
  if (TORCH_GUARD_OR_FALSE(strides[1].sym_eq(0))) return false;
  c10::SymInt inner(0), size(0);
  for (const int dim : {1, 3, 2, 0}) {
    const c10::SymInt& stride = strides[dim];
    if (TORCH_GUARD_OR_FALSE(sizes[dim].sym_eq(0))) return false;
    // Strides of torch are products of sizes, or of max(size, 1).
    if (!TORCH_GUARD_OR_FALSE(stride.sym_ge(inner * size)) &&
        !TORCH_GUARD_OR_FALSE(stride.sym_ge(inner * size.max(1)))) {
      return false;
    }
    if (dim == 0 && TORCH_GUARD_OR_FALSE((inner * size).sym_eq(strides[1]))) return false;
    inner = stride;
    size = sizes[dim];
  }
  return true;
}

/// Returns an uninitialized tensor with the strides of at::empty for the memory format. In
/// contiguous strides a size of 0 counts as 1.
inline at::Tensor empty_with_format(const std::array<c10::SymInt, 4>& sizes, bool channels_last,
                                    const at::TensorOptions& options) {
  const auto [n, c, h, w] = sizes;
  if (channels_last) {
    return at::empty_strided_symint(sizes, {c * w * h, 1, c * w, c}, options);
  }
  const c10::SymInt row = w.max(1), plane = row * h.max(1);
  return at::empty_strided_symint(sizes, {plane * c.max(1), plane, row, 1}, options);
}

}  // namespace torchconv
