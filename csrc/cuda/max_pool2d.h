// max_pool2d and its relatives on CUDA, of validated shapes, into memory that is there.
#pragma once

#include "cuda/device.h"
#include "views.h"

namespace torchconv::cuda {

/// As in max_pool2d_entries.h.
template <class T, class Offset>
void launch_max_pool2d(const at::Tensor& on, const Pool2dArgs<const T, T, Offset>& args);
template <class T, class Offset>
void launch_max_pool2d_backward(const at::Tensor& on,
                                const Pool2dArgs<T, const T, const Offset>& args);
template <class T, class Offset>
void launch_max_pool2d_gather(const at::Tensor& on,
                              const Pool2dArgs<const T, T, const Offset>& args);
template <class Offset>
void launch_max_pool2d_indices(const at::Tensor& on, const Pool2dShape& s,
                               const View4<const Offset>& offsets, const View4<int64_t>& indices);

/// Offsets need not be defined.
void max_pool2d_into(const at::Tensor& out, const at::Tensor& offsets, const at::Tensor& x,
                     const Pool2dShape& s);
void max_pool2d_backward_into(const at::Tensor& grad_x, const at::Tensor& grad_out,
                              const at::Tensor& offsets, const Pool2dShape& s);

}  // namespace torchconv::cuda
