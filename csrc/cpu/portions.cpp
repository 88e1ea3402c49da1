#include "cpu/portions.h"

#include <atomic>
#include <stdexcept>
#include <string>

namespace torchconv {
namespace {

/// Measured: smaller portions are worked through in shorter strips, and more of their rows belong
/// to their neighbours, too; larger ones leave the cache of a core.
std::atomic<int64_t> most_bytes{int64_t(2) << 20};

}  // namespace

int64_t portion_bytes() { return most_bytes.load(std::memory_order_relaxed); }

void set_portion_bytes(int64_t bytes) {
  if (bytes < 1) {
    throw std::invalid_argument("portion_bytes: expected bytes to be positive, but got " +
                                std::to_string(bytes));
  }
  most_bytes.store(bytes, std::memory_order_relaxed);
}

}  // namespace torchconv
