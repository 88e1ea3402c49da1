// out[c] = Σ x[n, c, h, w]

// Adds up values in blocks of kTileDepth and spans of kSpan terms, as gemm.h does, for accuracy.
template <class V>
struct BlockSum {
  V total = {}, span = {}, block = {};
  int64_t terms = 0;

  void add(V value) {
    block += value;
    if (++terms % kTileDepth == 0) {
      span += block;
      block = V{};
      if (terms % kSpan == 0) {
        total += span;
        span = V{};
      }
    }
  }
  V result() const { return total + (span + block); }
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
  const Vec<Acc> lane_sums = lanes.result();
  Acc sum = rest.result();
  for (int64_t i = 0; i < kStep; ++i) sum += lane_sums[i];
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
  store_first(args.out + channel, sum.result(), count);
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
