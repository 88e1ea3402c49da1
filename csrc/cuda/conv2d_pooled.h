// A convolution that pools its own outputs.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "shapes.h"

namespace torchconv::cuda {

/// Whether it does not compute outputs twice: windows do not overlap. And whether windows are so
/// small that enough of them are worked on at a time, and sums so short that they are not cut.
bool can_pool_at_once(const at::Tensor& x, const Conv2dShape& conv, const Pool2dShape& pool);

/// out = max_pool2d(conv2d(x, weight, bias)), and relu of it; `offsets` need not be defined.
void conv2d_pooled_into(const at::Tensor& out, const at::Tensor& offsets, const at::Tensor& x,
                        const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                        const Conv2dShape& conv, const Pool2dShape& pool, bool relu);

}  // namespace torchconv::cuda
