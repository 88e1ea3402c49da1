// Which operators have kernels for which devices.
#pragma once

#include <string>
#include <vector>

namespace torchconv {

/// Names of the operators that this build has CUDA kernels for.
std::vector<std::string> cuda_operators();

}  // namespace torchconv
