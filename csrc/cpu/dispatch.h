// What the entries of the CPU need: types and pointers for kernels, and what plans know of the CPU.
#pragma once

#include <ATen/Parallel.h>

#include "cpu/isa.h"
#include "typed.h"

namespace torchconv {

/// What a plan for products of T has to know.
template <class T>
Machine machine() {
  const Lanes& lanes = kernels().lanes;
  return {lanes,
          sizeof(T),
          sizeof(Accumulator<T>),
          std::is_same_v<T, bf16> ? lanes.bf16_terms : 1,
          at::get_num_threads(),
          l2_cache_bytes()};
}

}  // namespace torchconv
