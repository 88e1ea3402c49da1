// Products on Hopper GPUs (compute capability 9.0): operands come to shared memory by the copy
// engine and are multiplied by warpgroups, in bf16, f16 and, as `float32` says, in TF32 or, split
// in two of these, float32. Each function returns false where it cannot, and its result is then
// without meaning: on another device, without code for sm_90a, in multiply-adds or float64, of too
// many groups (ConvGroups), or where the copy engine cannot read an operand and a copy does not pay
// (HopperConvolution, HopperWeightGradient).
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "cuda/product.h"
#include "shapes.h"

namespace torchconv::cuda {

/// out, which is dense, has so many rows in each matrix of the batch.
bool hopper_matmul(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b,
                   const std::optional<at::Tensor>& bias, const Batch& batch, int64_t rows,
                   Float32Math float32);

bool hopper_conv2d(const at::Tensor& out, const at::Tensor& x, const at::Tensor& weight,
                   const std::optional<at::Tensor>& bias, const Conv2dShape& s,
                   Float32Math float32);

bool hopper_conv2d_backward_input(const at::Tensor& grad_x, const at::Tensor& grad_out,
                                  const at::Tensor& weight, const Conv2dShape& s,
                                  Float32Math float32);

bool hopper_conv2d_backward_weight(const at::Tensor& grad_weight, const at::Tensor& grad_out,
                                   const at::Tensor& x, const Conv2dShape& s, Float32Math float32);

}  // namespace torchconv::cuda
