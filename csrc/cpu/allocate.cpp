#include "cpu/allocate.h"

#include <ATen/ops/empty.h>

#include <atomic>

#include "environment.h"

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace torchconv {
namespace {

constexpr size_t kHugePage = size_t(2) << 20;
constexpr size_t kWorthAdvising = 4 * kHugePage;  // smaller blocks mostly reuse touched memory

constexpr int64_t kWorthStreaming = int64_t(16) << 20;

std::atomic<bool>& enabled() {
  static std::atomic<bool> on{environment_flag("TORCHCONV_HUGE_PAGES", true)};
  return on;
}

}  // namespace

at::Tensor advise_huge_pages(at::Tensor tensor) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  if (tensor.nbytes() >= kWorthAdvising && huge_pages()) {
    // Only whole huge pages inside the block; refusal by the kernel changes nothing but speed.
    const uintptr_t begin = reinterpret_cast<uintptr_t>(tensor.data_ptr());
    const uintptr_t first = (begin + kHugePage - 1) / kHugePage * kHugePage;
    const uintptr_t last = (begin + tensor.nbytes()) / kHugePage * kHugePage;
    if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
  }
#endif
  return tensor;
}

at::Tensor empty_result(at::IntArrayRef sizes, const at::TensorOptions& options,
                        at::MemoryFormat format) {
  return advise_huge_pages(at::empty(sizes, options.memory_format(format)));
}

bool past_caches(int64_t bytes) { return bytes >= kWorthStreaming; }

at::Tensor empty_scratch(int64_t threads, int64_t bytes) {
  return at::empty({threads, bytes}, at::kByte);
}

bool huge_pages() { return enabled().load(std::memory_order_relaxed); }
void set_huge_pages(bool on) { enabled().store(on, std::memory_order_relaxed); }

}  // namespace torchconv
