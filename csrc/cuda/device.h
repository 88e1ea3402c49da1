// What plans have to know of a GPU.
#pragma once

#include <ATen/core/Tensor.h>

namespace torchconv::cuda {

struct Device {
  int processors;
  int capability;  // 90 for compute capability 9.0
};

#ifdef __CUDACC__
/// Of a tensor.
Device gpu_of(const at::Tensor& tensor);
#else
/// The host plays one with as many processors as an H200 has, but takes what only that has no more
/// than others do, unless it is forced to.
inline Device gpu_of(const at::Tensor&) { return {132, 80}; }
#endif

}  // namespace torchconv::cuda
