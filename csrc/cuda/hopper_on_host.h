// What a Hopper GPU does beside its threads, on the host, for tests: barriers in shared memory, the
// copy engine, products of warpgroups. Written from the text of PTX (Parallel Thread Execution ISA,
// "mbarrier", "Tensors", "Asynchronous warpgroup level matrix instructions"), not from how kernels
// use it: descriptors are taken apart here. In every other pair of blocks copies are made at once;
// else when no thread can go on without one, in an order of its own. Products are made when their
// warp waits for them, and read what is in shared memory then.
#pragma once

#include <map>
#include <random>

#include "cuda/arithmetic.cuh"
#include "cuda/block.cuh"
#include "cuda/hopper_map.h"

namespace torchconv::cuda::host {

constexpr uint32_t kSharedBegin = 1024 + 3 * 128;  // the address of shared memory: not too round

inline uint32_t shared_address(const void* p) {
  return kSharedBegin + uint32_t(static_cast<const char*>(p) - running().shared);
}
inline char* at_shared_address(uint32_t address) {
  return running().shared + (int64_t(address) - kSharedBegin);
}

inline void expect(bool condition, const char* what) {
  if (!condition) throw std::logic_error(what);
}

/// Bits 4 to 6 of an address, as many as the swizzle has, combined with those three above.
inline uint32_t swizzled(uint32_t address, int swizzle_bytes) {
  const uint32_t mask = uint32_t(swizzle_bytes / 16 - 1);
  return address ^ (address >> 7 & mask) << 4;
}

// ---- barriers ----------------------------------------------------------------------------------

constexpr uint64_t kBarrierMark = 0x62617272696572;  // what shared memory holds in its place

struct Barrier {
  int64_t phases = 0;  // that are over
  int64_t bytes = 0;   // that are still expected
  int expected = 0, missing = 0;

  void look() {
    if (missing != 0 || bytes != 0) return;
    ++phases;
    missing = expected;
  }
};

/// sums += rows · columns of a warpgroup, as one thread has asked for it; or sums = rows · columns.
struct Product {
  uint64_t rows, columns;
  bool rows_along, columns_along, add;
  MapElement element;
  int n;
  float* sums;
};

/// A part of two operands, as a warp needs it for its sums.
struct Factors {
  int64_t number = -1;
  float rows[16][16], columns[256][16];
};

struct PendingCopy {
  const TensorMap* map;
  uint32_t to;
  uint64_t* barrier;
  int32_t at[4], offset[2];
};

struct HopperThread {
  std::vector<std::vector<Product>> groups{1};  // those that are committed, and the open one
  int64_t products = 0;
  bool fenced = false;
};

/// All of that for the block that is running.
struct Hopper {
  int64_t block = -1;
  std::map<uint64_t*, Barrier> barriers;
  std::vector<PendingCopy> copies;
  std::vector<HopperThread> threads;
  std::vector<std::array<Factors, 16>> factors;  // of each warp, the last few
  std::minstd_rand random;
};

bool copy_something();

inline Hopper& hopper() {
  static Hopper state;
  Running& r = running();
  if (state.block != r.blocks) {
    expect(state.copies.empty(), "a block has ended before its copies");
    state.block = r.blocks;
    state.barriers.clear();
    state.threads.assign(size_t(r.threads), {});
    state.factors.resize(size_t(r.threads / kLanes));
    for (auto& of_warp : state.factors) {
      for (Factors& factors : of_warp) factors.number = -1;
    }
    r.idle = &copy_something;
  }
  return state;
}

inline Barrier& barrier_at(uint64_t* place) {
  Hopper& h = hopper();
  expect(h.barriers.count(place) == 1 && *place == kBarrierMark, "no barrier, or overwritten");
  return h.barriers[place];
}

inline void barrier_init(uint64_t* place, int count) {
  Barrier& barrier = hopper().barriers[place];
  barrier.expected = barrier.missing = count;
  *place = kBarrierMark;
}

inline void barrier_arrive(uint64_t* place, int64_t bytes) {
  Barrier& barrier = barrier_at(place);
  expect(barrier.missing > 0, "more threads arrive at a barrier than it waits for");
  barrier.bytes += bytes;
  --barrier.missing;
  barrier.look();
}

/// Waits until the phase under way is not of this parity.
inline void barrier_wait(uint64_t* place, int parity) {
  Barrier& barrier = barrier_at(place);
  while (barrier.phases % 2 == parity) wait_for(&barrier.phases, barrier.phases + 1);
}

// ---- the copy engine ---------------------------------------------------------------------------

/// Copies one line of a part: elements along the first dimension at a place in the others.
inline void copy_line(const TensorMap& map, uint32_t to, const int64_t (&at)[4], int elements) {
  const MappedTensor& t = map.tensor;
  const int size = bytes_of(t.element);
  bool inside = true;
  int64_t offset = 0;
  for (int d = 1; d < 4; ++d) {
    inside = inside && at[d] >= 0 && at[d] < t.sizes[d];
    offset += at[d] * t.steps[d];
  }
  for (int i = 0; i < elements; ++i) {
    const int64_t first = at[0] + i;
    char element[4] = {};
    if (inside && first >= 0 && first < t.sizes[0]) {
      std::memcpy(element, static_cast<const char*>(t.data) + (offset + first) * size,
                  size_t(size));
    }
    if (t.element == MapElement::kTf32) {
      uint32_t bits;
      std::memcpy(&bits, element, 4);
      if ((bits & 0x7f800000) != 0x7f800000) bits = (bits + 0x1000) & ~0x1fffu;
      std::memcpy(element, &bits, 4);
    }
    const uint32_t address = swizzled(to + uint32_t(i * size), map.swizzle);
    std::memcpy(at_shared_address(address), element, size_t(size));
  }
}

inline void make_copy(const PendingCopy& copy) {
  const TensorMap& map = *copy.map;
  const int line = map.box[0] * bytes_of(map.tensor.element);
  expect(line % 16 == 0 && line <= map.swizzle && copy.to % 128 == 0, "lines of a box");
  uint32_t to = copy.to;
  const int32_t* at = copy.at;
  if (map.pixels) {
    const int64_t* step = map.walk.stride;
    int64_t place[3] = {at[1], at[2], at[3]};
    for (int pixel = 0; pixel < map.box[1]; ++pixel, to += uint32_t(line)) {
      expect(place[0] >= map.walk.first[0] && place[0] <= map.walk.last[0] &&
                 place[1] >= map.walk.first[1] && place[1] <= map.walk.last[1],
             "a pixel outside of the bounding box");
      copy_line(map, to, {at[0], place[0] + copy.offset[0], place[1] + copy.offset[1], place[2]},
                map.box[0]);
      place[0] += step[0];
      if (place[0] <= map.walk.last[0]) continue;
      place[0] = map.walk.first[0];
      place[1] += step[1];
      if (place[1] <= map.walk.last[1]) continue;
      place[1] = map.walk.first[1];
      ++place[2];
    }
  } else {
    expect(int64_t(at[0]) * bytes_of(map.tensor.element) % 16 == 0,
           "a box that begins within 16 bytes");
    for (int third = 0; third < map.box[3]; ++third) {
      for (int second = 0; second < map.box[2]; ++second) {
        for (int first = 0; first < map.box[1]; ++first, to += uint32_t(line)) {
          copy_line(map, to, {at[0], at[1] + first, at[2] + second, at[3] + third}, map.box[0]);
        }
      }
    }
  }
  Barrier& barrier = barrier_at(copy.barrier);
  barrier.bytes -= to - copy.to;
  barrier.look();
}

/// Makes one of the copies that wait. Returns whether there was one.
inline bool copy_something() {
  auto& copies = hopper().copies;
  if (copies.empty()) return false;
  const size_t which = hopper().random() % copies.size();
  const PendingCopy copy = copies[which];
  copies.erase(copies.begin() + int64_t(which));
  make_copy(copy);
  return true;
}

inline void begin_copy(const PendingCopy& copy) {
  if (hopper().block / 2 % 2 == 1) return make_copy(copy);
  hopper().copies.push_back(copy);
}

// ---- products of warpgroups --------------------------------------------------------------------

/// An element of an operand, by its index (row of A, column of B) and its term, from a descriptor:
/// address, leading and stride offsets in units of 16 bytes, and the swizzle.
inline float operand_element(uint64_t descriptor, bool along, MapElement element, int index,
                             int term) {
  const auto field = [&](int bit) { return uint32_t(descriptor >> bit & 0x3fff) << 4; };
  const uint32_t start = field(0), leading = field(16), stride = field(32);
  constexpr int kLines[4] = {16, 128, 64, 32};
  const int line = kLines[descriptor >> 62], size = bytes_of(element), per_16 = 16 / size;
  expect((descriptor >> 49 & 7) == 0, "a base offset");
  expect(start % uint32_t(8 * line) < uint32_t(line), "a pattern that begins somewhere else");
  uint32_t address = start;
  const auto add = [&](int times, int64_t bytes) { address += uint32_t(times * bytes); };
  if (along) {  // lines hold terms; eight of them make a pattern
    add(index % 8, line);
    add(index / 8, stride);
    add(term / per_16, line == 16 ? leading : 16);
    add(term % per_16, size);
  } else {  // lines hold indices
    const int in_line = line / size;
    add(index % in_line, size);
    add(index / in_line, line == 16 ? stride : leading);
    add(term % 8, line);
    add(term / 8, line == 16 ? leading : stride);
  }
  const char* const p = at_shared_address(swizzled(address, line));
  if (element == MapElement::kTf32) return *reinterpret_cast<const float*>(p);
  const uint16_t bits = *reinterpret_cast<const uint16_t*>(p);
  return element == MapElement::kBf16 ? widen(bf16{bits}) : widen(f16{bits});
}

/// Adds one product to this thread's sums: of m64nNk16, or m64nNk8 for TF32.
inline void multiply(const Product& p, int64_t number) {
  const int thread = running().current, warp = thread / kLanes;
  Factors& f = hopper().factors[size_t(warp)][size_t(number % 16)];
  const int terms = p.element == MapElement::kTf32 ? 8 : 16;
  if (f.number != number) {
    f.number = number;
    for (int k = 0; k < terms; ++k) {
      for (int r = 0; r < 16; ++r) {
        f.rows[r][k] = operand_element(p.rows, p.rows_along, p.element, warp % 4 * 16 + r, k);
      }
      for (int c = 0; c < p.n; ++c) {
        f.columns[c][k] = operand_element(p.columns, p.columns_along, p.element, c, k);
      }
    }
  }
  for (int i = 0; i < p.n / 2; ++i) {
    const float* const row = f.rows[lane() / 4 + i / 2 % 2 * 8];
    const float* const column = f.columns[i / 4 * 8 + lane() % 4 * 2 + i % 2];
    double sum = 0;
    for (int k = 0; k < terms; ++k) sum += double(row[k]) * column[k];
    p.sums[i] = float((p.add ? p.sums[i] : 0) + sum);
  }
}

inline HopperThread& hopper_thread() { return hopper().threads[size_t(running().current)]; }
inline void wgmma_fence() { hopper_thread().fenced = true; }
inline void wgmma(const Product& product) {
  expect(hopper_thread().fenced, "a product without a fence");
  expect(product.element != MapElement::kTf32 || (product.rows_along && product.columns_along),
         "TF32 across its terms");
  hopper_thread().groups.back().push_back(product);
}
inline void wgmma_commit() { hopper_thread().groups.emplace_back(); }

/// Makes all products but those of the last groups.
inline void wgmma_wait(int groups) {
  exchange(0);
  HopperThread& thread = hopper_thread();
  while (int(thread.groups.size()) > groups + 1) {
    for (const Product& product : thread.groups.front()) multiply(product, thread.products++);
    thread.groups.erase(thread.groups.begin());
  }
  thread.fenced = false;
  exchange(0);
}

}  // namespace torchconv::cuda::host
