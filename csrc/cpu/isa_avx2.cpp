// Kernels for CPUs with the instruction sets named below.
#include "cpu/isa.h"

#ifdef TORCHCONV_X86
#include <immintrin.h>

TORCHCONV_TARGET_BEGIN("avx2,fma,f16c")
namespace torchconv::avx2 {
namespace {
// clang-format off
#include "cpu/simd/avx2.h"
#include "cpu/kernels/all.h"
// clang-format on
}  // namespace

extern constexpr Kernels kKernels = all_kernels("avx2");

}  // namespace torchconv::avx2
TORCHCONV_TARGET_END
#endif
