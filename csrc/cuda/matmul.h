// The product of matrices on CUDA, for matmul and linear.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

namespace torchconv::cuda {

/// out = a · b + bias, of validated shapes, with out contiguous.
void matmul_into(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b,
                 const std::optional<at::Tensor>& bias);

/// out[c] = Σ x[…, c, …] over all other dimensions, of which there are up to three: the product
/// with a matrix of ones. In float32 always as accurate as that.
void sum_into(const char* op, const at::Tensor& out, const at::Tensor& x,
              int64_t channel_dimension);

}  // namespace torchconv::cuda
