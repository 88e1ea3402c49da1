// conv2d and its gradients on CUDA, of validated shapes, into tensors that are there.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <optional>

#include "cuda/plans/choice.h"
#include "shapes.h"

namespace torchconv::cuda {

/// Indices of a product are below that.
constexpr int64_t kMostExtent = int64_t(1) << 29;

/// Refuses what indices of 32 bits cannot count.
void check_countable_on_gpu(const char* op, const Conv2dShape& s);

/// Which algorithm computes a convolution and its gradients, "product" or "direct": what is forced,
/// where it can; else what is expected to be fastest. ("wgmma" is for some products.)
Algorithm algorithm_of(const Conv2dShape& s);

void conv2d_into(const at::Tensor& out, const at::Tensor& x, const at::Tensor& weight,
                 const std::optional<at::Tensor>& bias, const Conv2dShape& s);
void conv2d_backward_input_into(const at::Tensor& grad_x, const at::Tensor& grad_out,
                                const at::Tensor& weight, const Conv2dShape& s);

/// Calls make(first, images) for so many images at a time, which gives their grad_out, and sums
/// what follows from it.
void conv2d_backward_weight_into(
    const at::Tensor& grad_weight, const at::Tensor& x, const Conv2dShape& s, int64_t images,
    const std::function<at::Tensor(int64_t first, int64_t images)>& make);

}  // namespace torchconv::cuda
