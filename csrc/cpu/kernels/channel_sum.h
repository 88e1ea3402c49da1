// out[c] = Σ x[n, c, h, w], in blocks of at most kTileDepth terms per lane.

// Adds up values in blocks, so that the error grows with the number of blocks, not of values.
template <class V>
struct BlockSum {
  V total = {}, block = {};
  int64_t terms = 0;

  void add(V value) {
    block += value;
    if (++terms == kTileDepth) flush();
  }
  void flush() {
    total += block;
    block = V{};
    terms = 0;
  }
};

// Planes whose rows are contiguous: lanes run along the row.
template <class T>
inline Accumulator<T> sum_channel(const ChannelSumArgs<T>& args, int64_t channel) {
  using Acc = Accumulator<T>;
  constexpr int64_t kStep = kLanes<Acc>;
  const View4<const T>& x = args.x;
  BlockSum<Vec<Acc>> lanes;
  BlockSum<Acc> rest;
  for (int64_t n = 0; n < args.batch; ++n) {
    for (int64_t h = 0; h < args.height; ++h) {
      const T* row = x.data + n * x.n + channel * x.c + h * x.h;
      int64_t w = 0;
      if (x.w == 1) {
        for (; w + kStep <= args.width; w += kStep) lanes.add(load(row + w));
      }
      for (; w < args.width; ++w) rest.add(widen(row[w * x.w]));
    }
  }
  lanes.flush();
  rest.flush();
  Acc sum = rest.total;
  for (int64_t i = 0; i < kStep; ++i) sum += lanes.total[i];
  return sum;
}

// Contiguous channels: lanes run across channels.
template <class T>
inline void sum_channels(const ChannelSumArgs<T>& args, int64_t channel, int64_t count) {
  using Acc = Accumulator<T>;
  const View4<const T>& x = args.x;
  BlockSum<Vec<Acc>> sum;
  for (int64_t n = 0; n < args.batch; ++n) {
    for (int64_t h = 0; h < args.height; ++h) {
      for (int64_t w = 0; w < args.width; ++w) {
        const T* p = x.data + n * x.n + channel + h * x.h + w * x.w;
        sum.add(count == kLanes<Acc> ? load(p) : load_first(p, count));
      }
    }
  }
  sum.flush();
  store_first(args.out + channel, sum.total, count);
}

template <class T>
void channel_sum(const ChannelSumArgs<T>& args, int64_t begin, int64_t end) {
  constexpr int64_t kStep = kLanes<Accumulator<T>>;
  if (args.x.c == 1 && args.channels > 1) {
    for (int64_t c = begin; c < end; c += kStep) sum_channels(args, c, least(kStep, end - c));
  } else {
    for (int64_t c = begin; c < end; ++c) narrow(sum_channel(args, c), args.out + c);
  }
}
