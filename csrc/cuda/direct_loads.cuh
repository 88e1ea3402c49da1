// How threads of direct kernels load and store neighbours, and where a position leads.
#pragma once

#include "cuda/direct_args.h"
#include "cuda/runs.cuh"

namespace torchconv::cuda {

/// Loads `pack` neighbours, which are aligned, to the i-th element of a run and those behind it.
template <int pack, class T, int n>
TORCHCONV_ANYWHERE inline void load_pack(const T* from, int i, Run<T, n>* run) {
  static_assert(n % pack == 0);
  if constexpr (pack * sizeof(T) < 4) {
    run->set(i, *from);
  } else {
    constexpr int kWords = pack * int(sizeof(T)) / 4;
    const auto words = *reinterpret_cast<const Pack<uint32_t, kWords>*>(from);
#pragma unroll
    for (int j = 0; j < kWords; ++j) run->words[i * int(sizeof(T)) / 4 + j] = words.elements[j];
  }
}

/// Loads a run of aligned elements if it exists; else it is zero.
template <class T, int n>
TORCHCONV_ANYWHERE inline void load_if(bool exists, const T* from, Run<T, n>* run) {
#pragma unroll
  for (int i = 0; i < Run<T, n>::kWords; ++i) run->words[i] = 0;
  if (exists) load_pack<n>(from, 0, run);
}

template <int n, class T>
TORCHCONV_ANYWHERE inline void store_pack(T* to, const T (&elements)[n]) {
  Pack<T, n> pack;
#pragma unroll
  for (int i = 0; i < n; ++i) pack.elements[i] = elements[i];
  *reinterpret_cast<Pack<T, n>*>(to) = pack;
}

/// 0 <= place < size, by one comparison.
template <class Index>
TORCHCONV_ANYWHERE inline bool is_place(Index place, Index size) {
  using Unsigned = std::make_unsigned_t<Index>;
  return Unsigned(place) < Unsigned(size);
}

/// The place in source that a position on its line means, which counts in phases.
template <class Index>
struct Met {
  Index place;
  bool exists;
};
template <class Index>
TORCHCONV_ANYWHERE inline Met<Index> meet(Index position, const Divider<Index>& phases,
                                          Index size) {
  if (phases.divisor() == 1) return {position, is_place(position, size)};
  if (position < 0) return {0, false};
  const Index place = phases.quotient(position);
  return {place, place < size && place * phases.divisor() == position};
}

}  // namespace torchconv::cuda
