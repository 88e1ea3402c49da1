// The gradient of the weight, in two passes: threads sum what some tiles of grad_out add to it into
// chunks of their own, and these are added in a fixed order.
#pragma once

#include "cuda/direct_loads.cuh"

namespace torchconv::cuda {

/// The sums of the first pass: [chunk][channel of x in the group][tap][column]. A column is an
/// output channel, or one of `spread` neighbouring threads that share its tiles.
struct WeightSums {
  std::shared_ptr<void> memory;
  int64_t chunks, numbers, tiles_of_chunk, columns, spread;  // numbers: of a chunk

  /// A body's items, and the numbers that it writes, fit into 32 bits.
  bool fit_in_32_bits() const { return chunks * numbers <= int64_t(1) << 30; }
};

/// Cuts all tiles into chunks, so that there are enough threads, but threads have enough terms to
/// be worth the memory of their sums, and not so many that these become inaccurate.
template <class T>
WeightSums cut_into_chunks(const at::Tensor& on, const DirectArgs<T, const T, int64_t>& args,
                           int64_t tiles, int64_t terms_of_tile, int64_t columns, int64_t spread,
                           int64_t threads) {
  using Acc = Accumulator<T>;
  constexpr int64_t kThreadsWanted = 1 << 18, kMostTerms = 2048, kMostBytes = 64 << 20;
  const int64_t taps = args.rows.taps * args.cols.taps,
                least_terms = std::min(16 * taps, kMostTerms);
  const int64_t numbers = args.group_source * taps * columns;
  const auto chunks_of = [&](int64_t terms) {
    return ceil_div(tiles, spread * ceil_div(terms, terms_of_tile));
  };
  int64_t chunks = std::max(ceil_div(kThreadsWanted, threads), chunks_of(kMostTerms));
  chunks = std::min(chunks, chunks_of(least_terms));
  chunks = std::min(chunks, kMostBytes / int64_t(sizeof(Acc)) / numbers);
  const int64_t tiles_of_chunk =
      ceil_div(ceil_div(tiles, std::max<int64_t>(chunks, 1)), spread) * spread;
  chunks = ceil_div(tiles, tiles_of_chunk);
  return {scratch_on(on, chunks * numbers * int64_t(sizeof(Acc))),
          chunks,
          numbers,
          tiles_of_chunk,
          columns,
          spread};
}

/// The largest power of two up to `most` that is not greater than n.
inline int64_t power_up_to(int64_t n, int64_t most) {
  while (most > n) most /= 2;
  return std::max<int64_t>(most, 1);
}

/// The first pass, as in direct_kernels.h: false if the compiler does not know the window.
template <class T>
bool sum_weight_columns(const at::Tensor& on, const DirectArgs<T, const T, int64_t>& args,
                        WeightSums* sums);
template <class T>
bool sum_weight_channels(const at::Tensor& on, const DirectArgs<T, const T, int64_t>& args,
                         WeightSums* sums);

}  // namespace torchconv::cuda
