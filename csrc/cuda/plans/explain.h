// Plans for torchconv.backends: what a convolution of given sizes would do on a GPU.
#pragma once

#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

namespace torchconv::cuda {

/// Algorithm, arithmetic, tile, parts of the sum, launches, bytes of workspace.
using Conv2dExplanation =
    std::tuple<std::string, std::string, std::string, int64_t, int64_t, int64_t>;

/// Forward, backward_input, backward_weight, of dense tensors. Throws std::invalid_argument unless
/// there are 18 sizes, those of Conv2dShape in its order, and `dtype` is one of float32, float64,
/// bfloat16 and float16.
std::vector<Conv2dExplanation> explain_conv2d(const std::vector<int64_t>& sizes,
                                              const std::string& dtype, bool channels_last,
                                              int processors, int capability);

}  // namespace torchconv::cuda
