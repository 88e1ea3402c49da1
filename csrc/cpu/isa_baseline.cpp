// Kernels for every CPU that the compiler's default target admits.
#include "cpu/isa.h"

namespace torchconv::baseline {
namespace {
// clang-format off
#include "cpu/simd/baseline.h"
#include "cpu/kernels/all.h"
// clang-format on
}  // namespace

extern constexpr Kernels kKernels = all_kernels("baseline");

}  // namespace torchconv::baseline
