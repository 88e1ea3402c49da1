#include "cpu/portions.h"

#include <atomic>
#include <stdexcept>
#include <string>

namespace torchconv {
namespace {

/// Measured: beside what a portion makes, it reads its part of the images through the last-level
/// cache, and what is fixed costs little of so much work.
std::atomic<int64_t> most_bytes{int64_t(4) << 20};

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
