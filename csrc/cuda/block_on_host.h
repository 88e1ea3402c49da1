// A block of CUDA threads on the host, for tests: each thread is a fiber, and all fibers take turns
// on one thread of the operating system, until each waits for the others or has ended. Warps run
// one after the other, each as far as it can go alone, so that a missing barrier shows: the last
// warps are then far behind the first ones, or ahead of them where the order is the other way
// round, as it is in every second block. Shared memory begins as NaN, and copies that a GPU may
// finish late are made as late as it may.
#pragma once

#include <ucontext.h>

#include <csetjmp>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <stdexcept>
#include <vector>

namespace torchconv::cuda::host {

constexpr int kLanes = 32, kStackBytes = 1 << 17;
constexpr int kMostDeposit = 64;  // bytes that a lane shows to its warp at a time

/// A copy into shared memory that is under way: so many bytes of them, and zeros for the rest.
struct Copy {
  void* to;
  const void* from;
  int bytes, there;
};

struct Fiber {
  ucontext_t context;
  jmp_buf place;
  std::unique_ptr<char[]> stack{new char[kStackBytes]};
  bool started = false, ended = false;
  const int64_t* awaited = nullptr;  // a counter that must reach a value before the fiber goes on
  int64_t value = 0;
  int64_t exchanges = 0, syncs = 0;
  std::vector<std::vector<Copy>> copies;  // committed groups, and the one that is being made
};

struct Warp {
  int64_t arrivals = 0;
  alignas(16) char deposits[2][kLanes][kMostDeposit];
};

/// The block that is running.
struct Running {
  std::vector<Fiber> fibers;
  std::vector<Warp> warps;
  std::vector<char> memory;
  int64_t arrivals = 0, blocks = 0;
  int current = 0, threads = 0;
  char* shared = nullptr;
  const std::function<void(int, char*)>* body = nullptr;
  bool (*idle)() = nullptr;  // asked when all fibers wait: whether it has changed something
  jmp_buf scheduler;

  Fiber& fiber() { return fibers[current]; }
};

inline Running& running() {
  static Running block;
  return block;
}

inline int lane() { return running().current % kLanes; }

inline void start_fiber() {
  Running& r = running();
  (*r.body)(r.current, r.shared);
  r.fiber().ended = true;
  _longjmp(r.scheduler, 1);
}

/// Lets others run until a counter has reached a value.
inline void wait_for(const int64_t* counter, int64_t value) {
  Running& r = running();
  if (*counter >= value) return;
  r.fiber().awaited = counter;
  r.fiber().value = value;
  if (_setjmp(r.fiber().place) == 0) _longjmp(r.scheduler, 1);
}

/// Runs one fiber until it waits or ends. Returns whether it could run at all.
inline bool step(int thread) {
  Running& r = running();
  Fiber& fiber = r.fibers[thread];
  if (fiber.ended || (fiber.awaited && *fiber.awaited < fiber.value)) return false;
  fiber.awaited = nullptr;
  r.current = thread;
  if (_setjmp(r.scheduler) == 0) {
    if (fiber.started) _longjmp(fiber.place, 1);
    fiber.started = true;
    setcontext(&fiber.context);
  }
  return true;
}

inline void run_block(int threads, int shared_bytes, const std::function<void(int, char*)>& body) {
  Running& r = running();
  if (int(r.fibers.size()) < threads) r.fibers = std::vector<Fiber>(threads);
  r.warps.assign(threads / kLanes, Warp());
  r.memory.assign(shared_bytes + 128, char(0xff));
  r.shared = r.memory.data() + (128 - reinterpret_cast<uintptr_t>(r.memory.data()) % 128);
  r.body = &body;
  r.arrivals = 0;
  r.threads = threads;
  const bool reversed = r.blocks++ % 2 == 1;
  for (int thread = 0; thread < threads; ++thread) {
    Fiber& fiber = r.fibers[thread];
    fiber.started = fiber.ended = false;
    fiber.awaited = nullptr;
    fiber.exchanges = fiber.syncs = 0;
    fiber.copies.assign(1, {});
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = kStackBytes;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, &start_fiber, 0);
  }
  for (bool any = true; any;) {
    any = false;
    for (int i = 0; i < threads / kLanes; ++i) {
      const int warp = reversed ? threads / kLanes - 1 - i : i;
      for (bool more = true; more; any = any || more) {
        more = false;
        for (int l = 0; l < kLanes; ++l) more = step(warp * kLanes + l) || more;
      }
    }
    if (!any && r.idle != nullptr) any = r.idle();
  }
  for (int thread = 0; thread < threads; ++thread) {
    if (!r.fibers[thread].ended) throw std::logic_error("a CUDA kernel waits for ever");
  }
}

inline void sync_block() {
  Running& r = running();
  ++r.arrivals;
  wait_for(&r.arrivals, ++r.fiber().syncs * r.threads);
}

/// What the lanes of a warp have shown each other.
template <class Value>
struct Deposits {
  const char* first;
  const Value& operator[](int lane) const {
    return *reinterpret_cast<const Value*>(first + lane * kMostDeposit);
  }
};

/// Shows a value to the warp. Returns those of all lanes, which stay until the exchange after the
/// next one.
template <class Value>
Deposits<Value> exchange(const Value& own) {
  static_assert(sizeof(Value) <= kMostDeposit);
  Running& r = running();
  Warp& warp = r.warps[r.current / kLanes];
  const int64_t number = r.fiber().exchanges++;
  auto& deposits = warp.deposits[number % 2];
  std::memcpy(deposits[lane()], &own, sizeof(Value));
  ++warp.arrivals;
  wait_for(&warp.arrivals, (number + 1) * kLanes);
  return {deposits[0]};
}

inline void copy_later(const Copy& copy) { running().fiber().copies.back().push_back(copy); }
inline void commit_copies() { running().fiber().copies.emplace_back(); }

/// Makes all copies but those of the last groups.
inline void wait_copies(int groups) {
  auto& copies = running().fiber().copies;
  while (int(copies.size()) > groups + 1) {
    for (const Copy& copy : copies.front()) {
      std::memcpy(copy.to, copy.from, copy.there);
      std::memset(static_cast<char*>(copy.to) + copy.there, 0, copy.bytes - copy.there);
    }
    copies.erase(copies.begin());
  }
}

}  // namespace torchconv::cuda::host
