// Gradients of biases: how sums of channels are cut into parts, which are then added in order.
#include "cuda/channel_sum.h"

#include <algorithm>

#include "cuda/channel_sum.cuh"
#include "cuda/each_type.h"

namespace torchconv::cuda {
namespace {

/// Where terms of a channel lie, with dimensions that step through memory as one joined.
struct Terms {
  ImageSizes sizes;
  ChannelSteps<int64_t> steps, offset_steps;

  template <class T, class Offset>
  Terms(const ImageSizes& s, const View4<const T>& x, const View4<const Offset>& offsets)
      : sizes(s), steps(of(s, x)), offset_steps(of(s, offsets)) {
    using Steps = ChannelSteps<int64_t>;
    join(&sizes.height, &sizes.width, &Steps::h, &Steps::w);
    if (sizes.height == 1) {
      join(&sizes.batch, &sizes.width, &Steps::n, &Steps::w);
    } else {
      join(&sizes.batch, &sizes.height, &Steps::n, &Steps::h);
    }
  }

  /// Whether every number fits into 32 bits.
  bool fit_in_32_bits() const {
    constexpr double kMost = 1 << 30;
    const double channels = double(sizes.channels);
    const double all = double(sizes.batch) * double(sizes.height) * double(sizes.width);
    const auto reach = [&](const ChannelSteps<int64_t>& by) {
      return double(sizes.batch) * double(by.n) + channels * double(by.c) +
             double(sizes.height) * double(by.h) + double(sizes.width) * double(by.w);
    };
    return std::max({all, channels * (1 + all / 32768), reach(steps), reach(offset_steps)}) < kMost;
  }

 private:
  template <class T>
  static ChannelSteps<int64_t> of(const ImageSizes& s, const View4<T>& view) {
    const auto step = [](int64_t size, int64_t by) { return size == 1 ? 0 : by; };
    return {step(s.batch, view.n), step(s.channels, view.c), step(s.height, view.h),
            step(s.width, view.w)};
  }

  void join(int64_t* outer, int64_t* inner, int64_t ChannelSteps<int64_t>::* outer_step,
            int64_t ChannelSteps<int64_t>::* inner_step) {
    const auto joins = [&](const auto& by) { return by.*outer_step == *inner * by.*inner_step; };
    if (*inner == 1) {
      for (auto* by : {&steps, &offset_steps}) by->*inner_step = by->*outer_step;
    } else if (*outer != 1 && !(joins(steps) && joins(offset_steps))) {
      return;
    }
    *inner *= *outer;
    *outer = 1;
  }
};

template <class From, class To, class Offset, class Index, bool kAcross>
struct Launch {
  using Body = ChannelSum<From, To, Offset, Index, kAcross>;
  using Acc = Accumulator<To>;

  static int64_t groups(int64_t channels) { return ceil_div<int64_t>(channels, Body::kChannels); }
  static int64_t row_runs(const Terms& t) {
    return kAcross ? t.sizes.width : ceil_div<int64_t>(t.sizes.width, Body::kRun);
  }
  static int64_t runs(const Terms& t) { return t.sizes.batch * t.sizes.height * row_runs(t); }

  /// So many parts that a GPU is busy, but each worth its while, and none with so many terms that
  /// sums of them become inaccurate.
  static int64_t chunks(const Terms& t) {
    constexpr int64_t kBlocksWanted = 1024, kLeastRuns = 8, kMostRuns = 512;  // of a thread
    const auto chunks_of = [&](int64_t of_thread) {
      return ceil_div(runs(t), Body::kAlong * of_thread);
    };
    const int64_t wanted = ceil_div(kBlocksWanted, groups(t.sizes.channels));
    return std::max({std::min(wanted, chunks_of(kLeastRuns)), chunks_of(kMostRuns), int64_t(1)});
  }

  static void start(const at::Tensor& on, const Terms& t, const From* from, const Offset* offsets,
                    int64_t chunks, Acc* partial, To* out) {
    const auto divider = [](int64_t by) { return Divider<Index>(Index(std::max<int64_t>(by, 1))); };
    const int64_t channels = t.sizes.channels;
    const Body body{from,
                    offsets,
                    t.steps.as<Index>(),
                    t.offset_steps.as<Index>(),
                    Index(channels),
                    Index(t.sizes.width),
                    Index(runs(t)),
                    Index(ceil_div(runs(t), chunks)),
                    divider(row_runs(t)),
                    divider(t.sizes.height),
                    divider(groups(channels)),
                    groups(channels) * chunks,
                    partial,
                    out};
    launch_blocks(on, body, body.all_blocks);
  }
};

template <class T, class Offset, class Index, bool kAcross>
void sum_channels(const at::Tensor& on, const ChannelSumArgs<T, Offset>& args, const Terms& terms) {
  using First = Launch<T, T, Offset, Index, kAcross>;
  using Acc = Accumulator<T>;
  const T* const from = args.grad_out.data;
  const int64_t chunks = First::chunks(terms), channels = terms.sizes.channels;
  if (chunks == 1) return First::start(on, terms, from, args.offsets.data, 1, nullptr, args.out);
  const auto memory = scratch_on(on, chunks * channels * int64_t(sizeof(Acc)));
  Acc* const partial = static_cast<Acc*>(memory.get());
  First::start(on, terms, from, args.offsets.data, chunks, partial, nullptr);
  const View4<const Acc> parts{partial, channels, 1, 0, 0};
  const Terms of_parts({chunks, channels, 1, 1}, parts, View4<const uint8_t>{});
  Launch<Acc, T, uint8_t, int64_t, false>::start(on, of_parts, partial, nullptr, 1, nullptr,
                                                 args.out);
}

}  // namespace

template <class T, class Offset>
void launch_channel_sum(const at::Tensor& on, const ChannelSumArgs<T, Offset>& args) {
  if (args.sizes.channels == 0) return;
  constexpr int64_t kManyChannels = 16;
  const Terms terms(args.sizes, args.grad_out, args.offsets);
  const bool across = terms.steps.c == 1 && args.sizes.channels >= kManyChannels;
  if (terms.fit_in_32_bits()) {
    across ? sum_channels<T, Offset, int32_t, true>(on, args, terms)
           : sum_channels<T, Offset, int32_t, false>(on, args, terms);
  } else {
    across ? sum_channels<T, Offset, int64_t, true>(on, args, terms)
           : sum_channels<T, Offset, int64_t, false>(on, args, terms);
  }
}

#define TORCHCONV_CHANNEL_SUM(T)                                                          \
  template void launch_channel_sum(const at::Tensor&, const ChannelSumArgs<T, uint8_t>&); \
  template void launch_channel_sum(const at::Tensor&, const ChannelSumArgs<T, int32_t>&);

TORCHCONV_EACH_FLOAT(TORCHCONV_CHANNEL_SUM)

}  // namespace torchconv::cuda
