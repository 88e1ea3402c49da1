// Instructions of Hopper GPUs (compute capability 9.0, code for sm_90a; NVIDIA, Parallel Thread
// Execution ISA) for work that goes on beside the threads that asked for it, and barriers that tell
// when it is done. On the host their definitions are in hopper_on_host.h.
//
// A barrier (mbarrier) lies in shared memory and counts phases: one is over when so many threads
// have arrived and, if bytes are expected, the copy engine has brought them. Who waits names the
// parity of the phase; the one before the first counts as over and odd.
#pragma once

#include "cuda/hopper_map.h"
#include "cuda/warp.cuh"

#ifndef __CUDACC__
#include "cuda/hopper_on_host.h"
#endif

// Where these instructions are: on the host, and in code for sm_90a.
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define TORCHCONV_HOPPER 1
#elif !defined(__CUDACC__)
#define TORCHCONV_HOPPER 1
#else
#define TORCHCONV_HOPPER 0
#endif

namespace torchconv::cuda {

/// An address within shared memory, as those instructions want it.
TORCHCONV_ANYWHERE inline uint32_t shared_address(const void* p) {
#ifdef __CUDA_ARCH__
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
#elif !defined(__CUDACC__)
  return host::shared_address(p);
#else
  return 0;
#endif
}

// ---- barriers ----------------------------------------------------------------------------------

TORCHCONV_ANYWHERE inline void barrier_init(uint64_t* barrier, int count) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(count)
               : "memory");
#elif !defined(__CUDACC__)
  host::barrier_init(barrier, count);
#endif
}

/// Shows new barriers to the copy engine; threads see them after a barrier of the block.
TORCHCONV_ANYWHERE inline void show_barriers() {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
#endif
}

TORCHCONV_ANYWHERE inline void barrier_arrive(uint64_t* barrier) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier))
               : "memory");
#elif !defined(__CUDACC__)
  host::barrier_arrive(barrier, 0);
#endif
}

/// Arrives, and has the phase wait for so many bytes, too.
TORCHCONV_ANYWHERE inline void barrier_expect(uint64_t* barrier, int bytes) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  asm volatile(
      "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)),
      "r"(bytes)
      : "memory");
#elif !defined(__CUDACC__)
  host::barrier_arrive(barrier, bytes);
#endif
}

/// Waits for the end of the phase of this parity; what was written before is then seen.
TORCHCONV_ANYWHERE inline void barrier_wait(uint64_t* barrier, int parity) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  uint32_t over = 0;
  do {
    asm volatile(
        "{\n"
        ".reg .pred over;\n"
        "mbarrier.try_wait.parity.shared::cta.b64 over, [%1], %2;\n"
        "selp.b32 %0, 1, 0, over;\n"
        "}"
        : "=r"(over)
        : "r"(shared_address(barrier)), "r"(parity)
        : "memory");
  } while (over == 0);
#elif !defined(__CUDACC__)
  host::barrier_wait(barrier, parity);
#endif
}

// ---- the copy engine ---------------------------------------------------------------------------

/// Has a map loaded that is going to be used.
TORCHCONV_ANYWHERE inline void prefetch_map([[maybe_unused]] const TensorMap* map) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
#endif
}

/// Begins to copy a box, which begins at a place in each dimension, to shared memory.
TORCHCONV_ANYWHERE inline void copy_box(void* to, const TensorMap* map, uint64_t* barrier, int at0,
                                        int at1, int at2, int at3) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%3, %4, %5, %6}], [%2];" ::"r"(shared_address(to)),
      "l"(map), "r"(shared_address(barrier)), "r"(at0), "r"(at1), "r"(at2), "r"(at3)
      : "memory");
#elif !defined(__CUDACC__)
  host::begin_copy({map, shared_address(to), barrier, {at0, at1, at2, at3}, {}});
#endif
}

/// Begins to copy pixels from one on; the offset, of less than 256, is added to all of them.
TORCHCONV_ANYWHERE inline void copy_pixels(void* to, const TensorMap* map, uint64_t* barrier,
                                           int channel, int column, int row, int image,
                                           int column_offset, int row_offset) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%3, %4, %5, %6}], [%2], {%7, %8};" ::"r"(shared_address(to)),
      "l"(map), "r"(shared_address(barrier)), "r"(channel), "r"(column), "r"(row), "r"(image),
      "h"(static_cast<uint16_t>(column_offset)), "h"(static_cast<uint16_t>(row_offset))
      : "memory");
#elif !defined(__CUDACC__)
  host::begin_copy({map,
                    shared_address(to),
                    barrier,
                    {channel, column, row, image},
                    {column_offset, row_offset}});
#endif
}

// ---- registers ---------------------------------------------------------------------------------

/// Sets how many registers each thread of this warpgroup has: fewer, or more once others have given
/// some back.
template <int registers>
TORCHCONV_ANYWHERE inline void give_registers() {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(registers));
#endif
}
template <int registers>
TORCHCONV_ANYWHERE inline void take_registers() {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(registers));
#endif
}

}  // namespace torchconv::cuda
