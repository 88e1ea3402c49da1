// Kernels whose threads work together in blocks: barriers, shared memory and what a warp does as
// one. On the host every thread is a fiber, and so these kernels, too, run in the tests.
#pragma once

#include "cuda/launch.cuh"

#ifndef __CUDACC__
#include "cuda/block_on_host.h"
#endif

namespace torchconv::cuda {

constexpr int kWarp = 32;

/// Where a thread stands, and the memory that it shares with its block, of an alignment of 128
/// bytes.
struct Block {
  int64_t number, blocks;
  int thread;
  char* shared;
};

/// Waits for all threads of the block, or of the warp; what they wrote is then seen by all.
TORCHCONV_ANYWHERE inline void sync_block() {
#ifdef __CUDA_ARCH__
  __syncthreads();
#elif !defined(__CUDACC__)
  host::sync_block();
#endif
}
TORCHCONV_ANYWHERE inline void sync_warp() {
#ifdef __CUDA_ARCH__
  __syncwarp();
#elif !defined(__CUDACC__)
  host::exchange(0);
#endif
}

#ifdef __CUDACC__
extern __shared__ __align__(128) char shared_memory[];

template <class Body>
__global__ void __launch_bounds__(Body::kThreads, Body::kBlocksAtOnce)
    block_kernel(const __grid_constant__ Body body) {
  body(Block{blockIdx.x, gridDim.x, int(threadIdx.x), shared_memory});
}
#endif

/// Runs body(block) with Body::kThreads threads and Body::kSharedBytes in each of so many blocks,
/// on the device of a tensor, in its current stream. What blocks are more than a grid can have is
/// left to the body, which steps on by `block.blocks`.
template <class Body>
void launch_blocks(const at::Tensor& on, const Body& body, int64_t blocks) {
  if (blocks == 0) return;
  blocks = std::min(blocks, kMostBlocks);
#ifdef __CUDACC__
  const CurrentDevice device(on);
  if constexpr (Body::kSharedBytes > 48 * 1024) {  // which a kernel has to ask for
    check_cuda(cudaFuncSetAttribute(block_kernel<Body>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    Body::kSharedBytes));
  }
  const auto stream = static_cast<cudaStream_t>(device.stream());
  block_kernel<<<static_cast<unsigned>(blocks), Body::kThreads, Body::kSharedBytes, stream>>>(body);
  check_cuda(cudaGetLastError());
#else
  for (int64_t block = 0; block < blocks; ++block) {
    host::run_block(Body::kThreads, Body::kSharedBytes,
                    [&](int thread, char* shared) { body(Block{block, blocks, thread, shared}); });
  }
#endif
}

}  // namespace torchconv::cuda
