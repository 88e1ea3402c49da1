// Memory layouts of elementwise operators: their results are dense, and their kernels, where they
// need to, see all operands laid out alike.
#pragma once

#include <ATen/core/Tensor.h>

namespace torchconv {

/// An uninitialised result of an elementwise operator on `like`, with the strides that torch would
/// choose: dense, in the order of `like`.
at::Tensor dense_like(const at::Tensor& like);

/// Whether elements of a tensor lie as those of a dense one of the same sizes and these strides.
bool lies_as(const at::Tensor& tensor, at::IntArrayRef strides);

}  // namespace torchconv
