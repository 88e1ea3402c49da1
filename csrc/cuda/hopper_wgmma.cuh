// Products of a warpgroup: four warps, 128 threads, multiply two operands that lie in shared memory
// (wgmma). Neither comes through registers; a descriptor of 64 bits says where each lies:
//
//   bits 0-13   the address, in units of 16 bytes, as all that follows
//   bits 16-29  the leading offset, bits 32-45 the stride offset
//   bits 62-63  the swizzle: 1 for lines of 128 bytes, 2 of 64, 3 of 32
//
// An operand is made of patterns of eight lines, which follow each other without gaps. Lines along
// the sum (K-major) hold terms of one index each: the stride offset leads to the next eight
// indices; the next terms of a line are found by an advance of the address, for which the swizzle,
// that of the address, makes up. Lines along the index (MN-major) hold indices of one term each:
// the stride offset leads to the next eight terms, the leading offset to the indices of the next
// line. Only operands of 16 bits can lie so.
//
// A product takes 32 bytes of terms: 16 of them, or eight in TF32. Of 64 rows each warp has 16:
// with g = lane / 4 and t = lane % 4, sums 4j to 4j + 3 are those of rows g, g, g + 8, g + 8 and
// columns 8j + 2t, 8j + 2t + 1, 8j + 2t, 8j + 2t + 1.
#pragma once

#include "cuda/hopper_places.h"
#include "cuda/hopper_ptx.cuh"

namespace torchconv::cuda {

/// A descriptor with its address.
TORCHCONV_ANYWHERE inline uint64_t descriptor_at(uint64_t descriptor, uint32_t address) {
  return descriptor | (address & 0x3ffff) / kDescriptorUnit;
}

/// The sums' registers belong to this thread before, and to products after.
TORCHCONV_ANYWHERE inline void wgmma_fence() {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#elif !defined(__CUDACC__)
  host::wgmma_fence();
#endif
}

/// Makes a group of the products since the last one.
TORCHCONV_ANYWHERE inline void wgmma_commit() {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#elif !defined(__CUDACC__)
  host::wgmma_commit();
#endif
}

/// Waits for all products but those of the last groups.
template <int groups>
TORCHCONV_ANYWHERE inline void wgmma_wait() {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(groups) : "memory");
#elif !defined(__CUDACC__)
  host::wgmma_wait(groups);
#endif
}

/// What the compiler does with sums, it does before this or after it. It does not know that
/// products go on behind the instruction that asks for them.
template <int n>
TORCHCONV_ANYWHERE inline void hold_sums([[maybe_unused]] float (&sums)[n]) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#pragma unroll
  for (int i = 0; i < n; ++i) asm volatile("" : "+f"(sums[i])::"memory");
#endif
}

#ifdef __CUDA_ARCH_FEAT_SM90_ALL

#define TORCHCONV_SUMS_64                                                             \
  "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, " \
  "%18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}"
#define TORCHCONV_SUMS_128                                                            \
  "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, " \
  "%18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, "  \
  "%34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, "  \
  "%50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}"
#define TORCHCONV_SUMS_256                                                               \
  "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, "    \
  "%18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, "     \
  "%34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, "     \
  "%50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, %64, %65, "     \
  "%66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, %80, %81, "     \
  "%82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, %96, %97, "     \
  "%98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, "   \
  "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, " \
  "%126, %127}"
#define TORCHCONV_8(i)                                                                       \
  "+f"(sums[i]), "+f"(sums[i + 1]), "+f"(sums[i + 2]), "+f"(sums[i + 3]), "+f"(sums[i + 4]), \
      "+f"(sums[i + 5]), "+f"(sums[i + 6]), "+f"(sums[i + 7])
#define TORCHCONV_32(i) TORCHCONV_8(i), TORCHCONV_8(i + 8), TORCHCONV_8(i + 16), TORCHCONV_8(i + 24)
#define TORCHCONV_OUT_64 TORCHCONV_32(0)
#define TORCHCONV_OUT_128 TORCHCONV_32(0), TORCHCONV_32(32)
#define TORCHCONV_OUT_256 TORCHCONV_32(0), TORCHCONV_32(32), TORCHCONV_32(64), TORCHCONV_32(96)

// The last operands: whether to add to what the sums are, factors of the signs (1, 1) and, with 16
// bits, whether lines lie along the index.
#define TORCHCONV_WGMMA_16(n, types, rows, columns, across_rows, across_columns, adds)         \
  asm volatile("wgmma.mma_async.sync.aligned.m64n" #n "k16.f32." types " " TORCHCONV_SUMS_##n  \
               ", " rows ", " columns ", " adds ", 1, 1, " across_rows ", " across_columns ";" \
               : TORCHCONV_OUT_##n                                                             \
               : "l"(a), "l"(b), "n"(int(!rows_along)), "n"(int(!columns_along)), "n"(int(add)))
#define TORCHCONV_WGMMA_32(n, rows, columns, adds)                                           \
  asm volatile("wgmma.mma_async.sync.aligned.m64n" #n "k8.f32.tf32.tf32 " TORCHCONV_SUMS_##n \
               ", " rows ", " columns ", " adds ", 1, 1;"                                    \
               : TORCHCONV_OUT_##n                                                           \
               : "l"(a), "l"(b), "n"(int(add)))
#define TORCHCONV_WGMMA(n, a0, a1, a2, a3, a4)              \
  if constexpr (std::is_same_v<T, bf16>) {                  \
    TORCHCONV_WGMMA_16(n, "bf16.bf16", a0, a1, a2, a3, a4); \
  } else if constexpr (std::is_same_v<T, f16>) {            \
    TORCHCONV_WGMMA_16(n, "f16.f16", a0, a1, a2, a3, a4);   \
  } else {                                                  \
    TORCHCONV_WGMMA_32(n, a0, a1, a2);                      \
  }

#endif

/// sums += rows · columns, of 64 x n, or without `add` sums = rows · columns; they may be looked at
/// after a wait.
template <class T, bool rows_along, bool columns_along, int n, bool add = true>
TORCHCONV_ANYWHERE inline void wgmma(float (&sums)[n / 2], uint64_t a, uint64_t b) {
  static_assert(n == 64 || n == 128 || n == 256);
  static_assert(sizeof(T) == 2 || (rows_along && columns_along));
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  if constexpr (n == 64) {
    TORCHCONV_WGMMA(64, "%32", "%33", "%34", "%35", "%36")
  } else if constexpr (n == 128) {
    TORCHCONV_WGMMA(128, "%64", "%65", "%66", "%67", "%68")
  } else {
    TORCHCONV_WGMMA(256, "%128", "%129", "%130", "%131", "%132")
  }
#elif !defined(__CUDACC__)
  host::wgmma({a, b, rows_along, columns_along, add, MapElementOf<T>::value, n, sums});
#endif
}

}  // namespace torchconv::cuda
