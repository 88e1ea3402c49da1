// Runs: elements that follow each other in memory and that one thread loads or stores, 16 bytes at
// a time where they are all there and aligned.
#pragma once

#include "cuda/arithmetic.cuh"
#include "cuda/launch.cuh"

namespace torchconv::cuda {

constexpr int kVectorBytes = 16;

/// Elements of T in a vector.
template <class T>
constexpr int kVector = kVectorBytes / sizeof(T);

template <class T, int n>
struct alignas(sizeof(T) * n) Pack {
  T elements[n];
};

/// The largest pack that n elements are made of: a power of two.
template <class T>
TORCHCONV_ANYWHERE constexpr int pack_of(int n) {
  int pack = 1;
  while (2 * pack <= n && 2 * pack * int(sizeof(T)) <= kVectorBytes) pack *= 2;
  return pack;
}

template <class Pack>
TORCHCONV_ANYWHERE inline bool aligned(const void* p) {
  return reinterpret_cast<uintptr_t>(p) % sizeof(Pack) == 0;
}

/// Loads the elements [first, last) of a run of n that begins at p; the others are `otherwise`.
/// `step` is the distance between neighbours.
template <int n, class T>
TORCHCONV_ANYWHERE inline void load_run(const T* p, int64_t step, int first, int last, T otherwise,
                                        T (&run)[n]) {
  constexpr int kPack = pack_of<T>(n), kPacked = n / kPack * kPack;
  using Whole = Pack<T, kPack>;
  if (first > 0 || last < n) {
#pragma unroll
    for (int i = 0; i < n; ++i) run[i] = i >= first && i < last ? p[i * step] : otherwise;
  } else if (step == 1 && aligned<Whole>(p)) {
#pragma unroll
    for (int i = 0; i < kPacked; i += kPack) {
      const Whole whole = *reinterpret_cast<const Whole*>(p + i);
#pragma unroll
      for (int j = 0; j < kPack; ++j) run[i + j] = whole.elements[j];
    }
#pragma unroll
    for (int i = kPacked; i < n; ++i) run[i] = p[i];
  } else {
#pragma unroll
    for (int i = 0; i < n; ++i) run[i] = p[i * step];
  }
}

/// Stores the first `count` elements of a run.
template <int n, class T>
TORCHCONV_ANYWHERE inline void store_run(T* p, int64_t step, int64_t count, const T (&run)[n]) {
  constexpr int kPack = pack_of<T>(n);
  static_assert(n % kPack == 0);
  using Whole = Pack<T, kPack>;
  if (step == 1 && count >= n && aligned<Whole>(p)) {
#pragma unroll
    for (int i = 0; i < n; i += kPack) {
      Whole whole;
#pragma unroll
      for (int j = 0; j < kPack; ++j) whole.elements[j] = run[i + j];
      *reinterpret_cast<Whole*>(p + i) = whole;
    }
    return;
  }
#pragma unroll
  for (int i = 0; i < n; ++i) {
    if (i < count) p[i * step] = run[i];
  }
}

/// The number of the k-th of `runs` runs that item i works on. Neighbouring threads have
/// neighbouring runs, so that a warp reads whole cache lines, and a thread has several runs, so
/// that their loads wait together. There are `spread_items` items for so many runs.
TORCHCONV_ANYWHERE inline int64_t spread(int64_t i, int k, int runs) {
  return i / kThreads * (kThreads * runs) + k * kThreads + i % kThreads;
}
inline int64_t spread_items(int64_t all, int runs) {
  return ceil_div<int64_t>(all, kThreads * runs) * kThreads;
}

}  // namespace torchconv::cuda
