// Threads for kernels that work through a range of items.
#pragma once

#include <ATen/Parallel.h>

#include "cpu/allocate.h"

namespace torchconv {

/// Work, in multiplications or elements, below which a second thread costs more than it brings.
constexpr int64_t kWorthAThread = 32768;

/// Calls kernel(begin, end, scratch) for parts of [0, items), each thread with scratch of its own.
/// All memory is allocated before the threads start, so that running out of it raises in the
/// caller.
template <class Kernel>
void parallel_with_scratch(int64_t items, int64_t work_per_item, int64_t scratch_bytes,
                           const Kernel& kernel) {
  if (items == 0) return;
  const int64_t grain = std::max<int64_t>(1, kWorthAThread / std::max<int64_t>(1, work_per_item));
  const int64_t threads = std::min<int64_t>(at::get_num_threads(), ceil_div(items, grain));
  const int64_t stride = ceil_div<int64_t>(scratch_bytes, 64) * 64;  // no cache line shared
  const at::Tensor scratch = empty_scratch(threads * stride);
  char* memory = static_cast<char*>(scratch.data_ptr());
  at::parallel_for(0, items, grain, [&](int64_t begin, int64_t end) {
    kernel(begin, end, memory + at::get_thread_num() * stride);
  });
}

/// The same without scratch.
template <class Kernel>
void parallel(int64_t items, int64_t work_per_item, const Kernel& kernel) {
  const int64_t grain = std::max<int64_t>(1, kWorthAThread / std::max<int64_t>(1, work_per_item));
  at::parallel_for(0, items, grain, kernel);
}

}  // namespace torchconv
