// Products on Hopper GPUs (compute capability 9.0): operands come to shared memory by the copy
// engine and are multiplied by warpgroups, in bf16, f16 and, if `float32` says so, TF32. Each
// function returns false, and has done nothing, where it cannot: on another device, without code
// for sm_90a, or where the copy engine cannot read an operand as it lies. What it can read:
//
//   matmul            2-D matrices of any strides with neighbours along one dimension and multiples
//                     of 16 bytes along the other; of float32 only along the sum
//   conv2d, grad_x    one group; channels_last: channels of multiples of 16 bytes, strides up to 8;
//                     NCHW: 16 bits, rows (for 1 x 1 planes) of multiples of 16 bytes, no strides
//                     of conv2d
//   grad_weight       one group, input channels in multiples of 64 unless 1 x 1; channels_last: 16
//                     bits, strides up to 8; NCHW: rows (for 1 x 1 planes) of multiples of 16
//                     bytes, no strides, mostly no more than seven columns of taps
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
