// Sums over taps under windows of any size, dilation and place.
#pragma once

#include "cuda/direct_vectors.cuh"

namespace torchconv::cuda {

/// A thread has a vector of neighbours in dest: channels, whose weights are turned, or columns.
template <class T, class Index, bool kChannels>
struct DirectAny {
  static constexpr int kLanes = kVector<T>;
  using Acc = Accumulator<T>;

  DirectArgs<T, T, Index> args;
  Split4<Index> split;  // (image, row, column, channel), or (image, channel, row, column)
  Divider<Index> group_dest, row_phases, col_phases;

  explicit DirectAny(const DirectArgs<T, T, int64_t>& a)
      : args(a.template as<Index>()),
        split(kChannels ? a.rows.dest : a.channels, kChannels ? a.cols.dest : a.rows.dest,
              ceil_div<int64_t>(kChannels ? a.channels : a.cols.dest, kLanes)),
        group_dest(Index(a.group_dest)),
        row_phases(Index(a.rows.phases)),
        col_phases(Index(a.cols.phases)) {}

  int64_t items() const { return split.items(args.batch); }

  TORCHCONV_ANYWHERE void operator()(int64_t item) const {
    const auto place = split(item);
    const Index image = place.first, vector = place.last * kLanes;
    const Index row = kChannels ? place.second : place.third;
    const Index col = kChannels ? place.third : vector;
    const Index channel = kChannels ? vector : place.second;
    const int lanes = at_most((kChannels ? args.channels : args.cols.dest) - vector, kLanes);
    Acc sums[kLanes] = {};
    for (Index k = 0; k < args.group_source; ++k) {
      for (Index i = 0; i < args.rows.taps; ++i) {
        const auto down = meet<Index>(row * args.rows.step + args.rows.first + i * args.rows.apart,
                                      row_phases, args.rows.source);
        if (!down.exists) continue;
#pragma unroll 1
        for (Index j = 0; j < args.cols.taps; ++j) {
          const Index right = args.cols.first + j * args.cols.apart;
          const Index weight = k * args.weight.source + i * args.weight.row + j * args.weight.col;
          if constexpr (kChannels) {
            add_channels(image, channel, down.place, col * args.cols.step + right, k, weight, lanes,
                         sums);
          } else {
            add_columns(image, channel, down.place, col, right, k, weight, lanes, sums);
          }
        }
      }
    }
    T results[kLanes];
#pragma unroll
    for (int lane = 0; lane < kLanes; ++lane) {
      const Index of = kChannels ? channel + (lane < lanes ? lane : 0) : channel;
      const Acc bias = args.bias == nullptr ? Acc(0) : widen(args.bias[of * args.bias_step]);
      narrow(sums[lane] + bias, &results[lane]);
    }
    store_run(args.dest.data + args.dest.offset(image, channel, row, col),
              kChannels ? Index(1) : args.dest.w, lanes, results);
  }

 private:
  /// Adds a tap to channels.
  TORCHCONV_ANYWHERE void add_channels(Index image, Index channel, Index row, Index position,
                                       Index k, Index weight, int lanes,
                                       Acc (&sums)[kLanes]) const {
    const auto right = meet(position, col_phases, args.cols.source);
    if (!right.exists) return;
    Run<T, kLanes> taps, values[1];
    load_pack<kLanes>(args.weight.data + (weight + channel), 0, &taps);
    const T* line = args.source.data + args.source.offset(image, 0, row, right.place);
    if (args.depthwise()) {
      const T* const from[] = {line + channel};
      load_runs(from, 1, {lanes}, T{}, values);
    } else {
#pragma unroll
      for (int lane = 0; lane < kLanes; ++lane) {
        const Index of = source_channel(channel + (lane < lanes ? lane : 0), k);
        values[0].set(lane, line[of * args.source.c]);
      }
    }
#pragma unroll
    for (int lane = 0; lane < kLanes; ++lane) {
      sums[lane] += widen(taps[lane]) * widen(values[0][lane]);
    }
  }

  /// Adds a tap to columns.
  TORCHCONV_ANYWHERE void add_columns(Index image, Index channel, Index row, Index col, Index right,
                                      Index k, Index weight, int lanes, Acc (&sums)[kLanes]) const {
    Index group = channel;
    const Index in_group = group_dest.divide(&group);
    const Acc tap =
        widen(args.weight.data[group * args.weight.group + in_group * args.weight.dest + weight]);
    const T* line =
        args.source.data + args.source.offset(image, group * args.group_source + k, row, 0);
#pragma unroll
    for (int lane = 0; lane < kLanes; ++lane) {
      if (lane >= lanes) continue;
      const auto at =
          meet<Index>((col + lane) * args.cols.step + right, col_phases, args.cols.source);
      if (at.exists) sums[lane] += tap * widen(line[at.place * args.source.w]);
    }
  }

  TORCHCONV_ANYWHERE Index source_channel(Index channel, Index k) const {
    return group_dest.quotient(channel) * args.group_source + k;
  }
};

}  // namespace torchconv::cuda
