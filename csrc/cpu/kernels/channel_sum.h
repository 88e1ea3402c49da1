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

// Vectors that are added independently of each other: an addition takes several cycles.
template <class Acc>
struct Chains {
  static constexpr int kCount = 4;
  static constexpr int64_t kElements = kCount * kLanes<Acc>;
  Vec<Acc> v[kCount] = {};

  Chains& operator+=(const Chains& other) {
#pragma GCC unroll 4
    for (int i = 0; i < kCount; ++i) v[i] += other.v[i];
    return *this;
  }
  friend Chains operator+(Chains a, const Chains& b) { return a += b; }
};
// The first n elements at p, zeros beyond, and where offsets, if any, are kNowhere.
template <class T, class Offset>
inline Chains<Accumulator<T>> load_chains(const T* p, const Offset* offsets, int64_t n) {
  using Acc = Accumulator<T>;
  using Raw = Vec<Bits<Acc>>;
  constexpr int64_t kStep = kLanes<Acc>;
  Chains<Acc> chains;
#pragma GCC unroll 4
  for (int i = 0; i < Chains<Acc>::kCount; ++i) {
    const int64_t lanes = n - i * kStep;
    if (lanes <= 0) break;
    chains.v[i] = load_lanes(p + i * kStep, lanes);
    if (offsets != nullptr) {
      const Raw at = load_offsets<Acc>(offsets + i * kStep, 0, lanes);
      chains.v[i] = (Vec<Acc>)((Raw)chains.v[i] & (at != kNowhere<Offset>));
    }
  }
  return chains;
}

// Planes whose rows are contiguous: lanes run along the row.
template <class T, class Offset>
inline Accumulator<T> sum_channel(const ChannelSumArgs<T, Offset>& args, int64_t channel) {
  using Acc = Accumulator<T>;
  constexpr int64_t kStep = Chains<Acc>::kElements;
  const View4<const T>& x = args.x;
  const View4<const Offset>& o = args.offsets;
  const bool all = o.data == nullptr;
  BlockSum<Chains<Acc>> lanes;
  BlockSum<Acc> rest;
  for (int64_t n = 0; n < args.batch; ++n) {
    for (int64_t h = 0; h < args.height; ++h) {
      const T* row = x.data + n * x.n + channel * x.c + h * x.h;
      const Offset* offsets = all ? nullptr : o.data + n * o.n + channel * o.c + h * o.h;
      int64_t w = 0;
      if (x.w == 1 && (all || o.w == 1)) {
        for (; w < args.width; w += kStep) {
          lanes.add(load_chains(row + w, all ? nullptr : offsets + w, args.width - w));
        }
      }
      for (; w < args.width; ++w) {
        if (all || offsets[w * o.w] != Offset(kNowhere<Offset>)) rest.add(widen(row[w * x.w]));
      }
    }
  }
  const Chains<Acc> sums = lanes.result();
  Acc sum = rest.result();
  for (int64_t i = 0; i < kStep; ++i) sum += sums.v[i / kLanes<Acc>][i % kLanes<Acc>];
  return sum;
}

// Contiguous channels: lanes run across channels.
template <class T, class Offset>
inline void sum_channels(const ChannelSumArgs<T, Offset>& args, int64_t channel, int64_t count) {
  using Acc = Accumulator<T>;
  const View4<const T>& x = args.x;
  const View4<const Offset>& o = args.offsets;
  BlockSum<Chains<Acc>> sum;
  for (int64_t n = 0; n < args.batch; ++n) {
    for (int64_t h = 0; h < args.height; ++h) {
      for (int64_t w = 0; w < args.width; ++w) {
        const Offset* offsets =
            o.data == nullptr ? nullptr : o.data + n * o.n + channel + h * o.h + w * o.w;
        sum.add(load_chains(x.data + n * x.n + channel + h * x.h + w * x.w, offsets, count));
      }
    }
  }
  const Chains<Acc> sums = sum.result();
  for (int64_t i = 0; i < count; i += kLanes<Acc>) {
    store_lanes(args.out + channel + i, sums.v[i / kLanes<Acc>], count - i);
  }
}

template <class T, class Offset>
void channel_sum(const ChannelSumArgs<T, Offset>& args, int64_t begin, int64_t end) {
  constexpr int64_t kStep = Chains<Accumulator<T>>::kElements;
  if (args.x.c == 1 && args.channels > 1 && (args.offsets.data == nullptr || args.offsets.c == 1)) {
    for (int64_t c = begin; c < end; c += kStep) sum_channels(args, c, least(kStep, end - c));
  } else {
    for (int64_t c = begin; c < end; ++c) narrow(sum_channel(args, c), args.out + c);
  }
}
