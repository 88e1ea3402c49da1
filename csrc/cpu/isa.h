// Which instruction sets this build has, which of them this CPU allows, and which one is in use.
#pragma once

#include <string>
#include <vector>

#include "cpu/depthwise_work.h"
#include "cpu/kernels.h"

#if defined(__x86_64__) || defined(__amd64__)
#define TORCHCONV_X86 1
#endif

// Code between TARGET_BEGIN and TARGET_END may use the named instruction sets. Compiler flags would
// do the same to the inline functions of every included header, which the linker may then hand to a
// CPU that lacks them; so no header with code may be included inside such a region
// but those of cpu/simd and cpu/kernels, which are made for it.
#define TORCHCONV_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define TORCHCONV_TARGET_BEGIN(isa) \
  TORCHCONV_PRAGMA(clang attribute push(__attribute__((target(isa))), apply_to = function))
#define TORCHCONV_TARGET_END TORCHCONV_PRAGMA(clang attribute pop)
#else
#define TORCHCONV_TARGET_BEGIN(isa) \
  TORCHCONV_PRAGMA(GCC push_options) TORCHCONV_PRAGMA(GCC target(isa))
#define TORCHCONV_TARGET_END TORCHCONV_PRAGMA(GCC pop_options)
#endif

namespace torchconv {

namespace baseline {
extern const Kernels kKernels;
}
#ifdef TORCHCONV_X86
namespace avx2 {
extern const Kernels kKernels;
}
namespace avx512 {
extern const Kernels kKernels;
}
namespace avx512_bf16 {
extern const ProductKernels<bf16> kProducts;
}
#endif

/// The kernels in use: the widest set that the CPU allows, unless the environment variable
/// TORCHCONV_CPU_ISA or set_isa says otherwise.
const Kernels& kernels();

/// Names of the instruction sets that this CPU can run, narrowest first.
std::vector<std::string> available_isas();

/// Puts a set in use. Throws std::invalid_argument unless it is available.
void set_isa(const std::string& name);

}  // namespace torchconv
