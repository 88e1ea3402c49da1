// The kernel that sums channels: threads of a block share the terms of one channel, or of some that
// are neighbours in memory, and add up what they have in shared memory.
#pragma once

#include "cuda/block.cuh"
#include "cuda/runs.cuh"

namespace torchconv::cuda {

/// Elements from one image, channel, row and column to the next.
template <class Index>
struct ChannelSteps {
  Index n, c, h, w;

  template <class To>
  ChannelSteps<To> as() const {
    return {To(n), To(c), To(h), To(w)};
  }
};

/// Terms are taken in runs: of neighbouring channels, if `kAcross`, else of columns. Of chunks of
/// runs, each makes a part of the sum.
template <class From, class To, class Offset, class Index, bool kAcross>
struct ChannelSum {
  using Acc = Accumulator<To>;
  static constexpr int kThreads = 256, kBlocksAtOnce = 4;
  static constexpr int kRun = kVector<From>, kRunsAtOnce = 2;
  static constexpr int kLanes = kAcross ? 8 : 1,
                       kAlong = kThreads / kLanes;  // threads of a channel
  static constexpr int kSums = kAcross ? kRun : 1;  // of a thread
  static constexpr int kChannels = kLanes * kSums;  // of a block
  static constexpr int kSharedBytes = kThreads * kSums * int(sizeof(Acc));

  const From* from;
  const Offset* offsets;  // may be nullptr; else elements with an offset of -1 are zero
  ChannelSteps<Index> steps, offset_steps;
  Index channels, width, runs, chunk_runs;
  Divider<Index> row_runs, height, groups;  // runs of a row; groups of channels
  int64_t all_blocks;
  Acc* partial;  // [chunk][channel], or nullptr where there is but one chunk
  To* out;

  TORCHCONV_ANYWHERE void operator()(const Block& block) const {
    const auto shared = reinterpret_cast<Acc(*)[kThreads]>(block.shared);
    const int lane = block.thread % kLanes, along = block.thread / kLanes;
    for (int64_t number = block.number; number < all_blocks; number += block.blocks) {
      Index chunk = Index(number);
      const Index channel = (groups.divide(&chunk) * kLanes + lane) * kSums;
      const Index first = chunk * chunk_runs, left = runs - first;
      const Index last = first + (left < chunk_runs ? left : chunk_runs);
      Acc sums[kRun] = {};
      if (channel < channels) {
        offsets == nullptr ? add<false>(channel, first + along, last, sums)
                           : add<true>(channel, first + along, last, sums);
      }
      if constexpr (!kAcross) {
#pragma unroll
        for (int i = 1; i < kRun; ++i) sums[0] += sums[i];
      }
#pragma unroll
      for (int i = 0; i < kSums; ++i) shared[i][block.thread] = sums[i];
      sync_block();
#pragma unroll
      for (int half = kAlong / 2; half > 0; half /= 2) {
        if (along < half) {
#pragma unroll
          for (int i = 0; i < kSums; ++i) {
            shared[i][block.thread] += shared[i][block.thread + half * kLanes];
          }
        }
        sync_block();
      }
      if (along == 0) {
#pragma unroll
        for (int i = 0; i < kSums; ++i) {
          if (channel + i < channels) store(chunk, channel + i, shared[i][lane]);
        }
      }
      sync_block();
    }
  }

 private:
  /// Of every kAlong-th run.
  template <bool by_offsets>
  TORCHCONV_ANYWHERE void add(Index channel, Index first, Index last, Acc (&sums)[kRun]) const {
    for (Index run = first; run < last; run += kAlong * kRunsAtOnce) {
      const From* elements[kRunsAtOnce];
      const Offset* places[kRunsAtOnce];
      int there[kRunsAtOnce];
#pragma unroll
      for (int r = 0; r < kRunsAtOnce; ++r) {
        const bool exists = run + r * kAlong < last;
        Index line = exists ? run + r * kAlong : run;
        const Index column = row_runs.divide(&line) * (kAcross ? 1 : kRun);
        const Index row = height.divide(&line);
        const auto offset = [&](const ChannelSteps<Index>& by) {
          return line * by.n + channel * by.c + row * by.h + column * by.w;
        };
        there[r] = exists ? at_most(kAcross ? channels - channel : width - column, kRun) : 0;
        elements[r] = from + offset(steps);
        if (by_offsets) places[r] = offsets + offset(offset_steps);
      }
      Run<From, kRun> loaded[kRunsAtOnce];
      Run<Offset, kRun> windows[kRunsAtOnce];
      load_runs(elements, kAcross ? steps.c : steps.w, there, From{}, loaded);
      if (by_offsets) {
        load_runs(places, kAcross ? offset_steps.c : offset_steps.w, there, Offset(0), windows);
      }
#pragma unroll
      for (int r = 0; r < kRunsAtOnce; ++r) {
#pragma unroll
        for (int i = 0; i < kRun; ++i) {
          const bool counts = !by_offsets || windows[r][i] != Offset(-1);
          sums[i] += counts ? widen(loaded[r][i]) : Accumulator<From>(0);
        }
      }
    }
  }

  TORCHCONV_ANYWHERE void store(Index chunk, Index channel, Acc sum) const {
    if (partial != nullptr) {
      partial[int64_t(chunk) * channels + channel] = sum;
    } else {
      narrow(sum, out + channel);
    }
  }
};

}  // namespace torchconv::cuda
