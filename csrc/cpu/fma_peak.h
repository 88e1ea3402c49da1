// How fast this CPU can multiply and add at all, as a yardstick for benchmarks.
#pragma once

#include <string>

namespace torchconv {

/// The most GFLOP/s that multiply-adds in registers reach on `threads` of torch's threads, in the
/// instruction set in use and the type in which kernels for `dtype` ("float32", …) add up. The best
/// of several windows that take `seconds` together. Throws std::invalid_argument.
double fma_peak(const std::string& dtype, int64_t threads, double seconds);

}  // namespace torchconv
