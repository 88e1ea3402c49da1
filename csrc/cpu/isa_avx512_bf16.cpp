// AVX-512 with BF16: the products of bf16 have kernels of their own; all else is AVX-512's.
#include "cpu/isa.h"

#ifdef TORCHCONV_X86
#include <immintrin.h>

TORCHCONV_TARGET_BEGIN("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")
namespace torchconv::avx512_bf16 {
namespace {
// clang-format off
#include "cpu/simd/avx512.h"
#include "cpu/simd/vec.h"
#include "cpu/simd/shuffle.h"
#include "cpu/kernels/copy.h"
#include "cpu/kernels/gemm.h"
#include "cpu/kernels/tile.h"
#include "cpu/kernels/gemm_bf16.h"
#include "cpu/kernels/products.h"
// clang-format on
}  // namespace

extern constexpr ProductKernels<bf16> kProducts = product_kernels<bf16>();

}  // namespace torchconv::avx512_bf16
TORCHCONV_TARGET_END
#endif
