// The families of direct kernels, each in a file of its own, for what compiles them takes long.
#pragma once

#include "cuda/direct_args.cuh"

namespace torchconv::cuda {

/// dest = bias + Σ taps · source, or false if the compiler does not know the window. Every number
/// fits into 32 bits. Lanes are columns, or channels that adjoin.
template <class T>
bool correlate_columns(const at::Tensor& on, const DirectArgs<T, T, int64_t>& args);
template <class T>
bool correlate_channels(const at::Tensor& on, const DirectArgs<T, T, int64_t>& args);

}  // namespace torchconv::cuda
