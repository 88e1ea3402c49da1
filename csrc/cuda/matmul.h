// The product of matrices on CUDA, for matmul and linear.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

namespace torchconv::cuda {

/// out = a · b + bias, of validated shapes, with out contiguous.
void matmul_into(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b,
                 const std::optional<at::Tensor>& bias);

}  // namespace torchconv::cuda
