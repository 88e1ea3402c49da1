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
struct [[gnu::may_alias]] alignas(sizeof(T) * n) Pack {
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

/// n elements, in registers of 32 bits as they come from memory. If a load were followed by taking
/// short elements apart, the thread would wait for it before the next one.
template <class T, int n>
struct Run {
  static constexpr int kBytes = n * int(sizeof(T)), kWords = (kBytes + 3) / 4;
  uint32_t words[kWords];

  /// An element; i is known to the compiler.
  TORCHCONV_ANYWHERE T operator[](int i) const {
    if constexpr (sizeof(T) == 8) {
      return as_bits<T>(uint64_t(words[2 * i + 1]) << 32 | words[2 * i]);
    } else if constexpr (sizeof(T) == 4) {
      return as_bits<T>(words[i]);
    } else {
      return as_bits<T>(Bits(words[i / kInWord] >> shift(i)));
    }
  }

  TORCHCONV_ANYWHERE void set(int i, T element) {
    if constexpr (sizeof(T) == 8) {
      const auto bits = as_bits<uint64_t>(element);
      words[2 * i] = uint32_t(bits);
      words[2 * i + 1] = uint32_t(bits >> 32);
    } else if constexpr (sizeof(T) == 4) {
      words[i] = as_bits<uint32_t>(element);
    } else {
      const uint32_t rest = words[i / kInWord] & ~(uint32_t(Bits(-1)) << shift(i));
      words[i / kInWord] = rest | uint32_t(as_bits<Bits>(element)) << shift(i);
    }
  }

  TORCHCONV_ANYWHERE void fill(T element) {
#pragma unroll
    for (int i = 0; i < kWords; ++i) words[i] = 0;
#pragma unroll
    for (int i = 0; i < n; ++i) set(i, element);
  }

 private:
  using Bits = std::conditional_t<sizeof(T) == 2, uint16_t, uint8_t>;
  static constexpr int kInWord = sizeof(T) < 4 ? 4 / sizeof(T) : 1;

  TORCHCONV_ANYWHERE static constexpr int shift(int i) {
    return 8 * int(sizeof(T)) * (i % kInWord);
  }
};

/// Loads whole runs by so many bytes, or half as many where these are not aligned. Returns whether
/// it did.
template <int bytes, int runs, int n, class T>
TORCHCONV_ANYWHERE inline bool load_words(const T* const (&from)[runs], const int (&there)[runs],
                                          Run<T, n> (&run)[runs]) {
  if constexpr (bytes < 4) {
    return false;
  } else if constexpr (Run<T, n>::kBytes % bytes != 0) {
    return load_words<bytes / 2>(from, there, run);
  } else {
    using Words = Pack<uint32_t, bytes / 4>;
    bool all = true;
#pragma unroll
    for (int r = 0; r < runs; ++r) all = all && (there[r] == 0 || aligned<Words>(from[r]));
    if (!all) return load_words<bytes / 2>(from, there, run);
#pragma unroll
    for (int r = 0; r < runs; ++r) {
      if (there[r] == 0) continue;
#pragma unroll
      for (int i = 0; i < Run<T, n>::kBytes / bytes; ++i) {
        const Words words = reinterpret_cast<const Words*>(from[r])[i];
#pragma unroll
        for (int j = 0; j < bytes / 4; ++j) run[r].words[bytes / 4 * i + j] = words.elements[j];
      }
    }
    return true;
  }
}

/// Loads the first `there` elements of runs that begin at `from`; the others are `otherwise`.
/// `step` is the distance between neighbours.
template <int runs, int n, class T>
TORCHCONV_ANYWHERE inline void load_runs(const T* const (&from)[runs], int64_t step,
                                         const int (&there)[runs], T otherwise,
                                         Run<T, n> (&run)[runs]) {
  bool whole = step == 1;
#pragma unroll
  for (int r = 0; r < runs; ++r) {
    run[r].fill(otherwise);
    whole = whole && (there[r] == 0 || there[r] >= n);
  }
  if (whole && load_words<kVectorBytes>(from, there, run)) return;
#pragma unroll
  for (int r = 0; r < runs; ++r) {
#pragma unroll
    for (int i = 0; i < n; ++i) {
      if (i < there[r]) run[r].set(i, from[r][i * step]);
    }
  }
}

/// Stores the first `count` elements of a run.
template <int n, int kPack = 0, class T>
TORCHCONV_ANYWHERE inline void store_run(T* p, int64_t step, int count, const T (&run)[n]) {
  constexpr int kElements = kPack > 0 ? kPack : pack_of<T>(n);
  using Whole = Pack<T, kElements>;
  static_assert(n % kElements == 0);
  if (step == 1 && count >= n && aligned<Whole>(p)) {
#pragma unroll
    for (int i = 0; i < n; i += kElements) {
      Whole whole;
#pragma unroll
      for (int j = 0; j < kElements; ++j) whole.elements[j] = run[i + j];
      *reinterpret_cast<Whole*>(p + i) = whole;
    }
  } else if constexpr (sizeof(Whole) > 4 && kElements > 1) {
    store_run<n, kElements / 2>(p, step, count, run);
  } else {
#pragma unroll
    for (int i = 0; i < n; ++i) {
      if (i < count) p[i * step] = run[i];
    }
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
