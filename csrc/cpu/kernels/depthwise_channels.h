// Depthwise convolution with lanes along the channels, which are contiguous. Taps outside of the
// image are left out. A block of channels has its weights in scratch as [tap][kDepthwiseBlock].

struct ChannelTap {
  int64_t offset;  // from the source element at position u · step, in both dimensions
  int64_t weight;  // offset in scratch
};

// sum[pixel][vector] += Σ taps weight · source
template <int kPixels, int kVecs, class T>
inline void add_taps(const T* source, int64_t source_step, const ChannelTap* taps, int64_t count,
                     const Accumulator<T>* weight, int64_t lanes,
                     Vec<Accumulator<T>> (&sum)[kPixels][kVecs]) {
  using Acc = Accumulator<T>;
  for (int64_t t = 0; t < count; ++t) {
    const T* in = source + taps[t].offset;
    for (int v = 0; v < kVecs; ++v) {
      const Vec<Acc> w = load(weight + taps[t].weight + v * kLanes<Acc>);
      for (int p = 0; p < kPixels; ++p) {
        sum[p][v] += w * load_lanes(in + p * source_step + v * kLanes<Acc>, lanes);
      }
    }
  }
}

// kPixels pixels, kVecs vectors of channels: dest = Σ taps weight · source + bias. Sums of many
// taps are added in blocks, for accuracy.
template <int kPixels, int kVecs, class T>
inline void correlate_pixels_at(const T* source, int64_t source_step, const ChannelTap* taps,
                                int64_t count, const Accumulator<T>* weight,
                                const Accumulator<T>* bias, T* dest, int64_t dest_step,
                                int64_t lanes) {
  using Acc = Accumulator<T>;
  constexpr int64_t kBlock = 64;
  Vec<Acc> total[kPixels][kVecs] = {};
  add_taps(source, source_step, taps, least(kBlock, count), weight, lanes, total);
  for (int64_t block = kBlock; block < count; block += kBlock) {
    Vec<Acc> sum[kPixels][kVecs] = {};
    add_taps(source, source_step, taps + block, least(kBlock, count - block), weight, lanes, sum);
    for (int p = 0; p < kPixels; ++p) {
      for (int v = 0; v < kVecs; ++v) total[p][v] += sum[p][v];
    }
  }
  for (int p = 0; p < kPixels; ++p) {
    for (int v = 0; v < kVecs; ++v) {
      store_lanes(dest + p * dest_step + v * kLanes<Acc>,
                  total[p][v] + load(bias + v * kLanes<Acc>), lanes);
    }
  }
}

template <int kPixels, class T>
inline void correlate_pixels(const T* source, int64_t source_step, const ChannelTap* taps,
                             int64_t count, const Accumulator<T>* weight,
                             const Accumulator<T>* bias, T* dest, int64_t dest_step,
                             int64_t channels) {
  using Acc = Accumulator<T>;
  constexpr int kVecs = kPixels == 1 ? 4 : 2;  // sums enough to hide the latency of additions
  constexpr int64_t kStep = kVecs * kLanes<Acc>;
  int64_t c = 0;
  for (; c + kStep <= channels; c += kStep) {
    correlate_pixels_at<kPixels, kVecs>(source + c, source_step, taps, count, weight + c, bias + c,
                                        dest + c, dest_step, kLanes<Acc>);
  }
  for (; c < channels; c += kLanes<Acc>) {
    if (channels - c >= kLanes<Acc>) {
      correlate_pixels_at<kPixels, 1>(source + c, source_step, taps, count, weight + c, bias + c,
                                      dest + c, dest_step, kLanes<Acc>);
    } else {
      correlate_pixels_at<kPixels, 1>(source + c, source_step, taps, count, weight + c, bias + c,
                                      dest + c, dest_step, channels - c);
    }
  }
}

// The positions u of one phase at which every tap is inside the image.
inline Inside all_inside(const DepthwiseLine& line, int64_t phase) {
  const int64_t count = ceil_quotient(line.dest - phase, line.phases);
  Inside inside = {0, count};
  for (int64_t tap = 0; tap < line.taps; ++tap) {
    if (line.phase(tap) != phase) continue;
    const int64_t shift = line.shift(tap);
    inside.first = clamp(ceil_quotient(-shift, line.step), inside.first, count);
    const int64_t last = floor_quotient(line.source - 1 - shift, line.step) + 1;
    inside.last = clamp(last, 0, inside.last);
  }
  if (inside.last < inside.first) inside.last = inside.first;
  return inside;
}

// The taps that a result meets inside the image: for row y, and phase and position of the column;
// with u_w < 0, those of every column.
template <class T>
inline int64_t channel_taps(const DepthwiseCorrelation<T>& c, int64_t phase_h, int64_t u_h,
                            int64_t phase_w, int64_t u_w, ChannelTap* taps) {
  int64_t count = 0;
  for (int64_t i = 0; i < c.h.taps; ++i) {
    const int64_t shift_h = c.h.shift(i);
    if (c.h.phase(i) != phase_h || !within(u_h * c.h.step + shift_h, c.h.source)) continue;
    for (int64_t j = 0; j < c.w.taps; ++j) {
      const int64_t shift_w = c.w.shift(j);
      if (c.w.phase(j) != phase_w) continue;
      if (u_w >= 0 && !within(u_w * c.w.step + shift_w, c.w.source)) continue;
      taps[count++] = {shift_h * c.source.h + shift_w * c.source.w,
                       (i * c.w.taps + j) * kDepthwiseBlock};
    }
  }
  return count;
}

// A block of channels of one image: where it lies, and its weights [tap][kDepthwiseBlock].
template <class T>
struct ChannelBlock {
  const T* source;
  T* dest;
  int64_t channels;
  const Accumulator<T>*weight, *bias;
  ChannelTap* taps;  // room for a list
  const T* zero;     // what lies outside of the image: zeros, and room for results
  T* outside;
};

// Results [from, to) of one phase in one row.
template <class T>
inline void correlate_columns(const DepthwiseCorrelation<T>& c, const ChannelBlock<T>& k,
                              int64_t row, int64_t phase, const Inside& inside, int64_t from,
                              int64_t to) {
  constexpr int kPixels = 4;
  const int64_t phase_h = row % c.h.phases, u_h = row / c.h.phases;
  const int64_t source_step = c.w.step * c.source.w, dest_step = c.w.phases * c.dest.w;
  const T* source = k.source + u_h * c.h.step * c.source.h;
  T* dest = k.dest + row * c.dest.h + phase * c.dest.w;
  for (int64_t u = from; u < to;) {
    const bool edge = u < inside.first || u >= inside.last;
    const int64_t count = channel_taps(c, phase_h, u_h, phase, edge ? u : -1, k.taps);
    const int64_t stop = edge ? u + 1 : least(to, inside.last);
    for (; u + kPixels <= stop; u += kPixels) {
      correlate_pixels<kPixels>(source + u * source_step, source_step, k.taps, count, k.weight,
                                k.bias, dest + u * dest_step, dest_step, k.channels);
    }
    for (; u < stop; ++u) {
      correlate_pixels<1>(source + u * source_step, source_step, k.taps, count, k.weight, k.bias,
                          dest + u * dest_step, dest_step, k.channels);
    }
  }
}

// Rows [row, end) in tiles. The last vector of channels starts early enough to be a whole one.
template <class Tile, class T>
inline void correlate_tiles(const DepthwiseCorrelation<T>& c, const ChannelBlock<T>& k, int64_t row,
                            int64_t end) {
  constexpr int64_t kLast = (Tile::kSize * Tile::kSize - 1) * kDepthwiseBlock;
  constexpr int kStep = kLanes<Accumulator<T>>;
  const View4<const T> source = {k.source, 0, 0, c.source.h, c.source.w};
  const View4<T> dest = {k.dest, 0, 0, c.dest.h, c.dest.w};
  TileAddresses<Tile, T, T> tile;
  for (int64_t y = Tile::first_result(c.h, row); y < end; y += Tile::rows) {
    for (int64_t x = Tile::first_result(c.w, 0); x < c.w.dest; x += Tile::pixels) {
      tile.find_source(c.h, c.w, source, y, x, k.zero);
      tile.find_dest(row, end, c.w.dest, dest, y, x, k.outside);
      for (int64_t i = 0; i < k.channels; i += kStep) {
        const int64_t channel = least(i, k.channels - kStep);
        const Accumulator<T>* weight = k.weight + channel;
        correlate_tile(tile, channel, c.backward ? weight + kLast : weight,
                       c.backward ? -kDepthwiseBlock : kDepthwiseBlock, k.bias + channel);
      }
    }
  }
}

template <class Tile>
inline bool tile_fits(const DepthwiseLine& h, const DepthwiseLine& w) {
  return Tile::fits(h) && Tile::fits(w);
}

// Rows [row, end) of a block of channels.
template <class T>
inline void correlate_rows_of_channels(const DepthwiseCorrelation<T>& c, const ChannelBlock<T>& k,
                                       int64_t row, int64_t end) {
  if (k.channels >= kLanes<Accumulator<T>>) {
    if (tile_fits<ResultTile<1, 1>>(c.h, c.w)) {
      return correlate_tiles<ResultTile<1, 1>>(c, k, row, end);
    }
    if (tile_fits<ResultTile<2, 1>>(c.h, c.w)) {
      return correlate_tiles<ResultTile<2, 1>>(c, k, row, end);
    }
    if (tile_fits<ResultTile<1, 2>>(c.h, c.w)) {
      return correlate_tiles<ResultTile<1, 2>>(c, k, row, end);
    }
  }
  for (int64_t phase = 0; phase < c.w.phases; ++phase) {
    const Inside inside = all_inside(c.w, phase);
    const int64_t count = ceil_quotient(c.w.dest - phase, c.w.phases);
    for (int64_t y = row; y < end; ++y) correlate_columns(c, k, y, phase, inside, 0, count);
  }
}

// A block's weights and biases, up to a whole number of vectors.
template <class T>
inline void take_weights(const DepthwiseCorrelation<T>& c, int64_t channel, int64_t channels,
                         Accumulator<T>* weight, Accumulator<T>* bias) {
  for (int64_t i = 0; i < channels; ++i) {
    const T* w = c.weight.data + (channel + i) * c.weight.n;
    Accumulator<T>* to = weight + i;
    for (int64_t r = 0; r < c.h.taps; ++r) {
      for (int64_t s = 0; s < c.w.taps; ++s, to += kDepthwiseBlock) {
        *to = widen(w[r * c.weight.h + s * c.weight.w]);
      }
    }
    bias[i] = c.bias == nullptr ? Accumulator<T>(0) : widen(c.bias[(channel + i) * c.bias_stride]);
  }
  for (int64_t i = channels; i < round_up(channels, kDepthwiseRounding); ++i) {
    for (int64_t t = 0; t < c.h.taps * c.w.taps; ++t) weight[t * kDepthwiseBlock + i] = 0;
    bias[i] = 0;
  }
}

// The scratch of a block: weights and biases, then zeros and room for what is outside, of type S.
template <class S, class A>
struct ChannelScratch {
  ChannelTap* taps;
  A *weight, *bias;
  S *zero, *outside;

  ChannelScratch(void* scratch, int64_t count) {
    taps = static_cast<ChannelTap*>(scratch);
    weight = reinterpret_cast<A*>(taps + count);
    bias = weight + count * kDepthwiseBlock;
    zero = reinterpret_cast<S*>(bias + kDepthwiseBlock);
    outside = zero + kDepthwiseBlock;
    for (int64_t i = 0; i < kDepthwiseBlock; ++i) zero[i] = S{};
  }
  S* rest() const { return outside + kDepthwiseBlock; }
};

template <class T>
inline void correlate_channels(const DepthwiseCorrelation<T>& c, int64_t begin, int64_t end,
                               void* scratch) {
  const ChannelScratch<T, Accumulator<T>> own(scratch, c.h.taps * c.w.taps);
  const int64_t groups = ceil_div(c.h.dest, kDepthwiseRows);
  int64_t ready = -1;
  for (int64_t item = begin; item < end; ++item) {
    const int64_t row = item % groups * kDepthwiseRows, image = item / groups % c.batch;
    const int64_t block = item / groups / c.batch, channel = block * kDepthwiseBlock;
    const int64_t channels = least(kDepthwiseBlock, c.channels - channel);
    if (block != ready) take_weights(c, channel, channels, own.weight, own.bias);
    ready = block;
    const ChannelBlock<T> k = {c.source.data + image * c.source.n + channel,
                               c.dest.data + image * c.dest.n + channel,
                               channels,
                               own.weight,
                               own.bias,
                               own.taps,
                               own.zero,
                               own.outside};
    correlate_rows_of_channels(c, k, row, least(row + kDepthwiseRows, c.h.dest));
  }
}
