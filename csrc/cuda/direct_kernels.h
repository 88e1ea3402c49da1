// The direct kernels, by what they are told. The families of those whose windows the compiler knows
// have files of their own, for what compiles them takes long.
#pragma once

#include "cuda/device.h"
#include "cuda/direct_args.h"

namespace torchconv::cuda {

/// dest = bias + Σ taps · source.
template <class T>
void correlate(const at::Tensor& on, const DirectArgs<T, T, int64_t>& args);

/// The same, or false if the compiler does not know the window. Every number fits into 32 bits.
/// Lanes are columns, or channels that adjoin.
template <class T>
bool correlate_columns(const at::Tensor& on, const DirectArgs<T, T, int64_t>& args);
template <class T>
bool correlate_channels(const at::Tensor& on, const DirectArgs<T, T, int64_t>& args);

/// The gradient of the weight. Of `args`, source is x, dest is grad_out, and there are no weights.
template <class T>
void correlate_weight(const at::Tensor& on, const DirectArgs<T, const T, int64_t>& args,
                      const Places<T, int64_t>& grad_weight);

}  // namespace torchconv::cuda
