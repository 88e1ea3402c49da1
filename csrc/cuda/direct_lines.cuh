// How lines of a plane are loaded, for lanes that are columns.
#pragma once

#include "cuda/direct_tile.cuh"

namespace torchconv::cuda {

/// The least power of two that is not less, or 0.
constexpr int round_to_power(int n) { return n <= 2 ? n : 2 * round_to_power((n + 1) / 2); }

/// How many neighbours in a line may be loaded at once: places that begin at a multiple of them are
/// aligned in every line, and are all in the line or all outside. `offset` is a place that kernels
/// start from, besides multiples of a vector.
template <class T>
int common_pack(const Places<T, int64_t>& places, const DirectLine<int64_t>& line, int64_t size,
                int64_t offset) {
  if (places.w != 1) return 1;
  int pack = kVector<T>;
  const auto divides = [&](int64_t number) { return number % pack == 0; };
  const auto address = reinterpret_cast<uintptr_t>(places.data);
  while (pack > 1 &&
         !(address % (pack * sizeof(T)) == 0 && divides(places.n) && divides(places.c) &&
           divides(places.h) && divides(size) && divides(offset) && line.apart == 1)) {
    pack /= 2;
  }
  return pack;
}

/// Loads n places of a line from a first one on, in packs, or a smaller pack of them all; those
/// outside of it are zero. The line begins at data[line].
template <int pack, class T, int n>
TORCHCONV_ANYWHERE inline void load_packs(const T* data, int32_t line, int32_t first, int32_t size,
                                          bool exists, Run<T, n>* run) {
  constexpr int kPack = pack < n ? pack : n;
  static_assert(n % kPack == 0);
#pragma unroll
  for (int i = 0; i < Run<T, n>::kWords; ++i) run->words[i] = 0;
#pragma unroll
  for (int i = 0; i < n; i += kPack) {
    if (exists && is_place(first + i, size)) load_pack<kPack>(data + (line + first + i), i, run);
  }
}

/// What a tile of columns meets in a line: whole vectors, and what is left and right of them.
template <class T, class W, int size, int pack>
struct LineOfPlaces {
  using Across = Tile<W, size>;
  static constexpr int kMiddle = size * W::kStep / W::kPhases;
  static constexpr int kLeft = round_to_power(Across::kBefore);
  static constexpr int kAfter = Across::kPlaces - Across::kBefore - kMiddle;
  static constexpr int kRight = round_to_power(kAfter);

  Run<T, kMiddle> middle;
  Run<T, kLeft + 1> left;  // one more, since there may be none
  Run<T, kRight + 1> right;

  TORCHCONV_ANYWHERE void load(const T* data, int32_t line, int32_t first, int32_t width,
                               int32_t /*step*/, int32_t /*apart*/, bool exists) {
    load_packs<pack>(data, line, first, width, exists, &middle);
    if constexpr (kLeft > 0) load_side(data, line, first - kLeft, width, exists, &left);
    if constexpr (kRight > 0) load_side(data, line, first + kMiddle, width, exists, &right);
  }

  TORCHCONV_ANYWHERE void widen_to(Accumulator<T> (&values)[Across::kPlaces]) const {
#pragma unroll
    for (int p = 0; p < Across::kBefore; ++p) {
      values[p] = widen(left[kLeft - Across::kBefore + p]);
    }
#pragma unroll
    for (int p = 0; p < kMiddle; ++p) values[Across::kBefore + p] = widen(middle[p]);
#pragma unroll
    for (int p = 0; p < kAfter; ++p) values[Across::kBefore + kMiddle + p] = widen(right[p]);
  }

 private:
  template <int n>
  TORCHCONV_ANYWHERE static void load_side(const T* data, int32_t line, int32_t first,
                                           int32_t width, bool exists, Run<T, n>* side) {
    Run<T, n - 1> run;  // without the element that nobody reads
    load_packs<pack>(data, line, first, width, exists, &run);
#pragma unroll
    for (int i = 0; i < Run<T, n - 1>::kWords; ++i) side->words[i] = run.words[i];
  }
};

/// The same, one by one; neighbours lie `apart`.
template <class T, class W, int size>
struct LineOfPlaces<T, W, size, 1> {
  using Across = Tile<W, size>;

  Run<T, 1> elements[Across::kPlaces];

  TORCHCONV_ANYWHERE void load(const T* data, int32_t line, int32_t first, int32_t width,
                               int32_t step, int32_t apart, bool exists) {
    const int32_t before = first - Across::kBefore * apart;
    const T* from = data + (line + before * step);
    const int64_t neighbour = apart * step;
#pragma unroll
    for (int p = 0; p < Across::kPlaces; ++p) {
      load_if(exists && is_place(before + p * apart, width), from + p * neighbour, &elements[p]);
    }
  }

  TORCHCONV_ANYWHERE void widen_to(Accumulator<T> (&values)[Across::kPlaces]) const {
#pragma unroll
    for (int p = 0; p < Across::kPlaces; ++p) values[p] = widen(elements[p][0]);
  }
};

/// Calls run with the most elements that kernels load at once, as a constant: whole vectors, words
/// of 32 bits, or one by one. More of them would take long to compile, and vectors matter less
/// where a window has many taps.
template <class T, class W, class Run>
void with_pack(int common, const Run& run) {
  constexpr int kWord = sizeof(T) < 4 ? 4 / sizeof(T) : 1;
  constexpr int kWhole = W::kSide > 3 && kWord > 1 ? kWord : kVector<T>;
  if (common >= kWhole) {
    run(std::integral_constant<int, kWhole>());
  } else if (common >= kWord) {
    run(std::integral_constant<int, kWord>());
  } else {
    run(std::integral_constant<int, 1>());
  }
}

}  // namespace torchconv::cuda
