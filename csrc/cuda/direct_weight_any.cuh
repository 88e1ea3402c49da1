// The gradient of the weight under windows of any size, dilation and place.
#pragma once

#include "cuda/direct_weight.cuh"

namespace torchconv::cuda {

/// Items are (chunk, channel of x in the group and tap, output channel, thread of it). A tile is a
/// row of grad_out, whose columns the threads of a channel take in turns.
template <class T, class Index>
struct DirectWeightAny {
  using Acc = Accumulator<T>;

  DirectArgs<T, const T, Index> args;
  Split4<Index> split;
  Divider<Index> row_taps, col_taps, group_dest, rows;
  Index all_rows, rows_of_chunk;
  Acc* to;

  DirectWeightAny(const DirectArgs<T, const T, int64_t>& a, const WeightSums& sums)
      : args(a.template as<Index>()),
        split(a.group_source * a.rows.taps * a.cols.taps, a.channels, sums.spread),
        row_taps(args.rows.taps),
        col_taps(args.cols.taps),
        group_dest(args.group_dest),
        rows(args.rows.dest),
        all_rows(args.batch * args.rows.dest),
        rows_of_chunk(Index(sums.tiles_of_chunk)),
        to(static_cast<Acc*>(sums.memory.get())) {}

  TORCHCONV_ANYWHERE void operator()(int64_t item) const {
    const auto place = split(item);
    const Index channel = place.third, thread = place.last, spread = split.last.divisor();
    Index k = place.second;
    const Index right = col_taps.divide(&k) * args.cols.apart + args.cols.first;
    const Index down = row_taps.divide(&k) * args.rows.apart + args.rows.first;
    const Index source = group_dest.quotient(channel) * args.group_source + k;
    const Index first = place.first * rows_of_chunk, rest = all_rows - first;
    const Index last = first + (rest < rows_of_chunk ? rest : rows_of_chunk);
    Acc sum = 0;
    for (Index number = first; number < last; ++number) {
      Index image = number;
      const Index row = rows.divide(&image), at = row * args.rows.step + down;
      if (!is_place(at, args.rows.source)) continue;
      const T* line = args.source.data + args.source.offset(image, source, at, 0);
      const T* grads = args.dest.data + args.dest.offset(image, channel, row, 0);
      Acc of_row = 0;
#pragma unroll 4
      for (Index col = thread; col < args.cols.dest; col += spread) {
        const Index from = col * args.cols.step + right;
        if (!is_place(from, args.cols.source)) continue;
        of_row += widen(grads[col * args.dest.w]) * widen(line[from * args.source.w]);
      }
      sum += of_row;
    }
    to[item] = sum;
  }
};

}  // namespace torchconv::cuda
