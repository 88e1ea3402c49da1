#include "cpu/isa.h"

#include <atomic>

#include "environment.h"

namespace torchconv {
namespace {

#ifdef TORCHCONV_X86
const Kernels& avx512_bf16_kernels() {
  static const Kernels kernels = [] {
    Kernels all = avx512::kKernels;
    all.name = "avx512_bf16";
    all.b16.products = avx512_bf16::kProducts;
    all.lanes.bf16_terms = 2;
    return all;
  }();
  return kernels;
}
#endif

std::vector<const Kernels*> available() {
  std::vector<const Kernels*> found = {&baseline::kKernels};
#ifdef TORCHCONV_X86
  // These also ask the operating system whether it saves the wider registers.
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("f16c");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  const bool avx512_bf16 = avx512 && __builtin_cpu_supports("avx512bf16");
  if (avx2) found.push_back(&avx2::kKernels);
  if (avx512) found.push_back(&avx512::kKernels);
  if (avx512_bf16) found.push_back(&avx512_bf16_kernels());
#endif
  return found;
}

constexpr const char* kKind = " an instruction set of this CPU,";

std::atomic<const Kernels*>& in_use() {
  static std::atomic<const Kernels*> current = [] {
    const auto sets = available();
    return sets[environment_choice("TORCHCONV_CPU_ISA", available_isas(), sets.size() - 1, kKind)];
  }();
  return current;
}

}  // namespace

const Kernels& kernels() { return *in_use().load(std::memory_order_relaxed); }

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const Kernels* candidate : available()) names.emplace_back(candidate->name);
  return names;
}

void set_isa(const std::string& name) {
  const size_t index =
      index_of(name, available_isas(), std::string("cpu_isa: expected name to be") + kKind);
  in_use().store(available()[index], std::memory_order_relaxed);
}

}  // namespace torchconv
