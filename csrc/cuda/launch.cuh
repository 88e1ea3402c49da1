// How CUDA kernels are started. A kernel is a body that computes one item of its work from the
// number of the item, without barriers or shared memory; so the same body also runs on the host,
// where a loop over blocks and threads takes the place of the GPU: compiled as plain C++, these
// files are what the tests run on machines without one.
#pragma once

#include <algorithm>

#include "cuda/device.h"
#include "views.h"

#if defined(TORCHCONV_WITH_CUDA) && !defined(__CUDACC__)
#error "Kernels are launched by .cu files: here they would run on the host"
#endif

namespace torchconv::cuda {

constexpr int kThreads = 256;

/// Blocks of a launch, in x alone, which may have 2^31 - 1. On the host there are few, so that
/// threads have several items.
#ifdef __CUDACC__
constexpr int64_t kMostBlocks = INT32_MAX;
#else
constexpr int64_t kMostBlocks = 2;
#endif

/// What one thread does: the item of its number, and those a whole grid further on.
template <class Body>
TORCHCONV_ANYWHERE void run_thread(const Body& body, int64_t items, int64_t block, int64_t thread,
                                   int64_t blocks) {
#pragma unroll 1
  for (int64_t i = block * kThreads + thread; i < items; i += blocks * kThreads) body(i);
}

#ifdef __CUDACC__
template <class Body>
__global__ void __launch_bounds__(kThreads)
    body_kernel(const __grid_constant__ Body body, int64_t items) {
  run_thread(body, items, blockIdx.x, threadIdx.x, gridDim.x);
}
#endif

/// Runs body(i) for all 0 <= i < items on the device of a tensor, in its current stream.
template <class Body>
void launch(const at::Tensor& on, const Body& body, int64_t items) {
  if (items == 0) return;
  const int64_t blocks = std::min(ceil_div<int64_t>(items, kThreads), kMostBlocks);
#ifdef __CUDACC__
  const CurrentDevice device(on);
  const auto stream = static_cast<cudaStream_t>(device.stream());
  body_kernel<<<static_cast<unsigned>(blocks), kThreads, 0, stream>>>(body, items);
  check_cuda(cudaGetLastError());
#else
  for (int64_t block = 0; block < blocks; ++block) {
    for (int64_t thread = 0; thread < kThreads; ++thread) {
      run_thread(body, items, block, thread, blocks);
    }
  }
#endif
}

}  // namespace torchconv::cuda
