// Kernels for CPUs with the instruction sets named below.
#include "cpu/isa.h"

#ifdef TORCHCONV_X86
#include <immintrin.h>

TORCHCONV_TARGET_BEGIN("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")
namespace torchconv::avx512 {
namespace {
// clang-format off
#include "cpu/simd/avx512.h"
#include "cpu/kernels/all.h"
// clang-format on
}  // namespace

extern constexpr Kernels kKernels = all_kernels("avx512");

}  // namespace torchconv::avx512
TORCHCONV_TARGET_END
#endif
