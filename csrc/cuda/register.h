// TORCHCONV_CUDA_LIBRARY(m) { m.impl("relu", relu_cuda); … } registers kernels for CUDA tensors;
// compiled for the host, it puts them on a list, and tests/cuda_on_host.cpp registers them.
#pragma once

#include <torch/library.h>

#ifdef TORCHCONV_WITH_CUDA
#define TORCHCONV_CUDA_LIBRARY(m) TORCH_LIBRARY_IMPL(torchconv, CUDA, m)
#else
#include <vector>

namespace torchconv::cuda {

using Registration = void (*)(torch::Library&);

inline std::vector<Registration>& registrations() {
  static std::vector<Registration> all;
  return all;
}

}  // namespace torchconv::cuda

#define TORCHCONV_CUDA_LIBRARY(m)                                                                 \
  static void register_cuda_kernels(torch::Library& m);                                           \
  static const bool registered = (cuda::registrations().push_back(&register_cuda_kernels), true); \
  static void register_cuda_kernels(torch::Library& m)
#endif
