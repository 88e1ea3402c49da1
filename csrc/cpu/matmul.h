// The batched product under matmul and linear.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

namespace torchconv {

/// out[..., rows, cols] = a[..., rows, depth] · b[..., depth, cols] + bias[cols], for checked
/// arguments: a and b have out's batch dimensions or broadcast to them, out is contiguous.
void matmul_into(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b,
                 const std::optional<at::Tensor>& bias);

}  // namespace torchconv
