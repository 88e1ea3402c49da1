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

// kRows rows by kPixels pixels of results of a dense kernel of kSize x kSize taps and step 1, for
// one vector of channels: what is loaded serves all results and taps that meet it. Taps are in
// order of the source, `first` being the upper left one.
template <int kSize, int kRows, int kPixels, class T>
inline void correlate_tile(const T* source, const View4<const T>& in, const Accumulator<T>* weight,
                           int64_t tap_step, const Accumulator<T>* bias, T* dest,
                           const View4<T>& out, int64_t lanes) {
  using Acc = Accumulator<T>;
  Vec<Acc> w[kSize][kSize], sum[kRows][kPixels];
#pragma GCC unroll 16
  for (int i = 0; i < kSize * kSize; ++i) w[i / kSize][i % kSize] = load(weight + i * tap_step);
#pragma GCC unroll 16
  for (int i = 0; i < kRows * kPixels; ++i) sum[i / kPixels][i % kPixels] = Vec<Acc>{};
#pragma GCC unroll 16
  for (int row = 0; row < kRows + kSize - 1; ++row) {
#pragma GCC unroll 16
    for (int col = 0; col < kPixels + kSize - 1; ++col) {
      const Vec<Acc> v = load_lanes(source + row * in.h + col * in.w, lanes);
#pragma GCC unroll 16
      for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 16
        for (int j = 0; j < kPixels; ++j) {
          if (row >= i && row < i + kSize && col >= j && col < j + kSize) {
            sum[i][j] += w[row - i][col - j] * v;
          }
        }
      }
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 16
    for (int j = 0; j < kPixels; ++j) {
      store_lanes(dest + i * out.h + j * out.w, sum[i][j] + load(bias), lanes);
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

// kRows rows of a dense kernel, all of whose taps are inside.
template <int kSize, int kRows, class T>
inline void correlate_dense_rows(const DepthwiseCorrelation<T>& c, const ChannelBlock<T>& k,
                                 int64_t row, const Inside& inside) {
  using Acc = Accumulator<T>;
  constexpr int kPixels = 8 / kRows;
  int64_t u = inside.first;
  for (; u + kPixels <= inside.last; u += kPixels) {
    const T* source =
        k.source + (row + c.h.least_shift()) * c.source.h + (u + c.w.least_shift()) * c.source.w;
    T* dest = k.dest + row * c.dest.h + u * c.dest.w;
    const int64_t last = (kSize * kSize - 1) * kDepthwiseBlock;
    const Acc* weight = c.backward ? k.weight + last : k.weight;
    const int64_t tap_step = c.backward ? -kDepthwiseBlock : kDepthwiseBlock;
    int64_t i = 0;
    for (; i + kLanes<Acc> <= k.channels; i += kLanes<Acc>) {
      correlate_tile<kSize, kRows, kPixels>(source + i, c.source, weight + i, tap_step, k.bias + i,
                                            dest + i, c.dest, kLanes<Acc>);
    }
    if (i < k.channels) {
      correlate_tile<kSize, kRows, kPixels>(source + i, c.source, weight + i, tap_step, k.bias + i,
                                            dest + i, c.dest, k.channels - i);
    }
  }
  for (int64_t i = 0; i < kRows; ++i) {
    correlate_columns(c, k, row + i, 0, inside, 0, inside.first);
    correlate_columns(c, k, row + i, 0, inside, u, c.w.dest);
  }
}

// Rows [row, end) of a block of channels.
template <class T>
inline void correlate_rows_of_channels(const DepthwiseCorrelation<T>& c, const ChannelBlock<T>& k,
                                       int64_t row, int64_t end) {
  const bool dense = c.h.taps == 3 && c.w.taps == 3 && c.h.is_dense() && c.w.is_dense();
  const Inside rows = all_inside(c.h, 0), inside = all_inside(c.w, 0);
  while (row < end) {
    const int64_t left = dense && row >= rows.first ? least(end, rows.last) - row : 0;
    if (left >= 4) {
      correlate_dense_rows<3, 4>(c, k, row, inside);
      row += 4;
    } else if (left >= 2) {
      correlate_dense_rows<3, 2>(c, k, row, inside);
      row += 2;
    } else {
      for (int64_t phase = 0; phase < c.w.phases; ++phase) {
        const int64_t count = ceil_quotient(c.w.dest - phase, c.w.phases);
        correlate_columns(c, k, row, phase, phase == 0 ? inside : all_inside(c.w, phase), 0, count);
      }
      ++row;
    }
  }
}

template <class T>
inline void correlate_channels(const DepthwiseCorrelation<T>& c, int64_t begin, int64_t end,
                               void* scratch) {
  using Acc = Accumulator<T>;
  const int64_t count = c.h.taps * c.w.taps;
  ChannelTap* taps = static_cast<ChannelTap*>(scratch);
  Acc* weight = reinterpret_cast<Acc*>(taps + count);  // [tap][kDepthwiseBlock]
  Acc* bias = weight + count * kDepthwiseBlock;
  const int64_t groups = ceil_div(c.h.dest, kDepthwiseRows);
  int64_t ready = -1;
  for (int64_t item = begin; item < end; ++item) {
    const int64_t row = item % groups * kDepthwiseRows, image = item / groups % c.batch;
    const int64_t block = item / groups / c.batch, channel = block * kDepthwiseBlock;
    const int64_t channels = least(kDepthwiseBlock, c.channels - channel);
    if (block != ready) {
      for (int64_t i = 0; i < channels; ++i) {
        const T* w = c.weight.data + (channel + i) * c.weight.n;
        Acc* to = weight + i;
        for (int64_t r = 0; r < c.h.taps; ++r) {
          for (int64_t s = 0; s < c.w.taps; ++s, to += kDepthwiseBlock) {
            *to = widen(w[r * c.weight.h + s * c.weight.w]);
          }
        }
        bias[i] = c.bias == nullptr ? Acc(0) : widen(c.bias[(channel + i) * c.bias_stride]);
      }
      for (int64_t i = channels; i < kDepthwiseBlock; ++i) {
        for (int64_t t = 0; t < count; ++t) weight[t * kDepthwiseBlock + i] = 0;
        bias[i] = 0;
      }
      ready = block;
    }
    const ChannelBlock<T> k = {c.source.data + image * c.source.n + channel,
                               c.dest.data + image * c.dest.n + channel,
                               channels,
                               weight,
                               bias,
                               taps};
    correlate_rows_of_channels(c, k, row, least(row + kDepthwiseRows, c.h.dest));
  }
}
