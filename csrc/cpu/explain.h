// Plans for torchconv.backends: what a convolution of given sizes would do now.
#pragma once

#include <cstdint>
#include <tuple>
#include <vector>

#include "cpu/conv2d_plan.h"

namespace torchconv {

/// Algorithm; channels, images, rows and columns of a portion; items, chunks, scratch per thread.
using Conv2dExplanation =
    std::tuple<std::string, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t>;

/// Forward, backward_input, backward_weight. Throws std::invalid_argument unless there are 18
/// sizes, those of Conv2dShape in its order.
std::vector<Conv2dExplanation> explain_conv2d(const std::vector<int64_t>& sizes,
                                              int64_t element_bytes, bool is_bf16,
                                              bool channels_last);

}  // namespace torchconv
