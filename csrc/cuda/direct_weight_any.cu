// The gradient of the weight by direct kernels: the choice of the first pass, and the second one.
#include "cuda/direct_kernels.h"
#include "cuda/direct_weight.cuh"
#include "cuda/direct_weight_any.cuh"
#include "cuda/each_type.h"

namespace torchconv::cuda {
namespace {

/// Adds rows of numbers, some neighbours at a time: to[r][i] = from[r · kRows][i] + …
template <class Acc>
struct SumRows {
  static constexpr int64_t kRows = 32;

  const Acc* from;
  Acc* to;
  int64_t rows;
  Divider<int64_t> numbers;

  TORCHCONV_ANYWHERE void operator()(int64_t item) const {
    int64_t group = item;
    const int64_t number = numbers.divide(&group);
    const int64_t first = group * kRows, rest = rows - first, count = rest < kRows ? rest : kRows;
    const Acc* column = from + (first * numbers.divisor() + number);
    Acc sum = 0;
#pragma unroll 8
    for (int64_t r = 0; r < count; ++r) sum += column[r * numbers.divisor()];
    to[item] = sum;
  }
};

/// Adds what the threads of an output channel have, and writes the gradient. Items are (channel of
/// x in the group, tap row, tap column, output channel).
template <class T>
struct WriteWeight {
  using Acc = Accumulator<T>;

  const Acc* from;
  Places<T, int64_t> to;
  int64_t spread;
  Split4<int64_t> split;

  TORCHCONV_ANYWHERE void operator()(int64_t item) const {
    const auto [source, row, col, channel] = split(item);
    Acc sum = 0;
#pragma unroll 8
    for (int64_t i = 0; i < spread; ++i) sum += from[item * spread + i];
    narrow(sum, to.data + to.offset(channel, source, row, col));
  }
};

template <class T>
WeightSums sum_weight_any(const at::Tensor& on, const DirectArgs<T, const T, int64_t>& args) {
  const int64_t spread = channels_adjoin(args) ? 1 : power_up_to(args.cols.dest, 32);
  const int64_t columns = args.channels * spread;
  const int64_t threads = args.group_source * args.rows.taps * args.cols.taps * columns;
  const int64_t rows = args.batch * args.rows.dest;
  WeightSums sums =
      cut_into_chunks(on, args, rows, ceil_div(args.cols.dest, spread), columns, spread, threads);
  if (fits_in_32_bits(args) && sums.fit_in_32_bits()) {
    launch(on, DirectWeightAny<T, int32_t>(args, sums), sums.chunks * threads);
  } else {
    launch(on, DirectWeightAny<T, int64_t>(args, sums), sums.chunks * threads);
  }
  return sums;
}

template <class T>
WeightSums sum_in_chunks(const at::Tensor& on, const DirectArgs<T, const T, int64_t>& args) {
  WeightSums sums;
  const bool done =
      fits_in_32_bits(args) && (channels_adjoin(args) ? sum_weight_channels(on, args, &sums)
                                                      : sum_weight_columns(on, args, &sums));
  return done ? sums : sum_weight_any(on, args);
}

}  // namespace

template <class T>
void correlate_weight(const at::Tensor& on, const DirectArgs<T, const T, int64_t>& args,
                      const Places<T, int64_t>& grad_weight) {
  using Acc = Accumulator<T>;
  const WeightSums sums = sum_in_chunks<T>(on, args);
  const int64_t numbers = sums.numbers;
  std::shared_ptr<void> memory = sums.memory;
  for (int64_t chunks = sums.chunks; chunks > 1;) {
    const int64_t fewer = ceil_div(chunks, SumRows<Acc>::kRows);
    const auto to = scratch_on(on, fewer * numbers * int64_t(sizeof(Acc)));
    const SumRows<Acc> add{static_cast<const Acc*>(memory.get()), static_cast<Acc*>(to.get()),
                           chunks, Divider<int64_t>(numbers)};
    launch(on, add, fewer * numbers);
    memory = to;
    chunks = fewer;
  }
  const WriteWeight<T> write{static_cast<const Acc*>(memory.get()),
                             grad_weight,
                             sums.spread,
                             {args.rows.taps, args.cols.taps, args.channels}};
  launch(on, write, write.split.items(args.group_source));
}

#define TORCHCONV_CORRELATE_WEIGHT(T)                                                       \
  template void correlate_weight(const at::Tensor&, const DirectArgs<T, const T, int64_t>&, \
                                 const Places<T, int64_t>&);

TORCHCONV_EACH_FLOAT(TORCHCONV_CORRELATE_WEIGHT)

}  // namespace torchconv::cuda
