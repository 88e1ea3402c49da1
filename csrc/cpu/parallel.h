// Threads for kernels that work through a range of items.
#pragma once

#include <ATen/Parallel.h>

#include "cpu/allocate.h"

namespace torchconv {

/// How many items make a thread worth while. `work_per_item` counts multiplications or elements; it
/// is a double because nothing bounds the product of sizes it comes from.
inline int64_t grain_size(double work_per_item) {
  constexpr double kWorthAThread = 32768;
  return std::max<int64_t>(1, static_cast<int64_t>(kWorthAThread / std::max(1.0, work_per_item)));
}

/// Calls kernel(begin, end, scratch) for parts of [0, items), each thread with scratch of its own.
/// All memory is allocated before the threads start, so that running out of it raises in the
/// caller.
template <class Kernel>
void parallel_with_scratch(int64_t items, double work_per_item, int64_t scratch_bytes,
                           const Kernel& kernel) {
  if (items == 0) return;
  const int64_t grain = grain_size(work_per_item);
  const int64_t threads = std::min<int64_t>(at::get_num_threads(), ceil_div(items, grain));
  const int64_t stride = ceil_div<int64_t>(scratch_bytes, 64) * 64;  // no cache line shared
  const at::Tensor scratch = empty_scratch(threads, stride);
  char* memory = static_cast<char*>(scratch.data_ptr());
  at::parallel_for(0, items, grain, [&](int64_t begin, int64_t end) {
    kernel(begin, end, memory + at::get_thread_num() * stride);
  });
}

/// The same without scratch.
template <class Kernel>
void parallel(int64_t items, double work_per_item, const Kernel& kernel) {
  at::parallel_for(0, items, grain_size(work_per_item), kernel);
}

}  // namespace torchconv
