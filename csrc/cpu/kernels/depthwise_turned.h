// Depthwise convolution of small planes: kDepthwiseTurned channels of an image are turned into
// [pixel][channel] in scratch, to run the kernels of contiguous channels, and results turned back.

// The next vector of pixels of kLanes channels, which lie `step` apart; zeros beyond the last
// channel and pixel.
template <class T, int kSize>
inline void load_square(const T* plane, int64_t step, int64_t channels, int64_t pixels,
                        Vec<Accumulator<T>> (&rows)[kSize]) {
  if (channels >= kSize && pixels >= kSize) {
#pragma GCC unroll 16
    for (int i = 0; i < kSize; ++i, plane += step) rows[i] = load(plane);
    return;
  }
#pragma GCC unroll 16
  for (int i = 0; i < kSize; ++i, plane += step) {
    rows[i] = i < channels ? load_lanes(plane, pixels) : Vec<Accumulator<T>>{};
  }
}
template <class T, int kSize>
inline void store_square(const Vec<Accumulator<T>> (&rows)[kSize], int64_t channels, int64_t pixels,
                         T* plane, int64_t step) {
  if (channels >= kSize && pixels >= kSize) {
#pragma GCC unroll 16
    for (int i = 0; i < kSize; ++i, plane += step) store(plane, rows[i]);
    return;
  }
#pragma GCC unroll 16
  for (int i = 0; i < kSize; ++i, plane += step) {
    if (i < channels) store_lanes(plane, rows[i], pixels);
  }
}

// Pixels are written up to a whole vector.
template <class T, class A>
inline void turn_planes(const T* plane, int64_t step, int64_t channels, int64_t pixels, A* out) {
  constexpr int kSize = kLanes<A>;
  for (int64_t first = 0; first < kDepthwiseTurned; first += kSize) {
    for (int64_t f = 0; f < pixels; f += kSize) {
      Vec<A> rows[kSize];
      load_square(plane + first * step + f, step, channels - first, pixels - f, rows);
      transpose<A>(rows);
      A* to = out + f * kDepthwiseTurned + first;
#pragma GCC unroll 16
      for (int i = 0; i < kSize; ++i) store(to + i * kDepthwiseTurned, rows[i]);
    }
  }
}

template <class T, class A>
inline void turn_back(const A* in, int64_t pixels, T* plane, int64_t step, int64_t channels) {
  constexpr int kSize = kLanes<A>;
  for (int64_t first = 0; first < channels; first += kSize) {
    for (int64_t f = 0; f < pixels; f += kSize) {
      const A* from = in + f * kDepthwiseTurned + first;
      Vec<A> rows[kSize];
#pragma GCC unroll 16
      for (int i = 0; i < kSize; ++i) rows[i] = load(from + i * kDepthwiseTurned);
      transpose<A>(rows);
      store_square(rows, channels - first, pixels - f, plane + first * step + f, step);
    }
  }
}

// The strides of planes that were turned.
template <class A>
inline View4<A> turned_view(A* data, int64_t width) {
  return {data, 0, 1, width * kDepthwiseTurned, kDepthwiseTurned};
}

// Where the planes of item (block, image) begin.
template <class V>
inline int64_t turned_offset(const V& view, int64_t batch, int64_t item) {
  return item % batch * view.n + item / batch * kDepthwiseTurned * view.c;
}

template <class T>
inline void correlate_turned(const DepthwiseCorrelation<T>& c, int64_t begin, int64_t end,
                             void* scratch) {
  using Acc = Accumulator<T>;
  const ChannelScratch<Acc, Acc> own(scratch, c.h.taps * c.w.taps);
  const int64_t source_pixels = c.h.source * c.w.source, dest_pixels = c.h.dest * c.w.dest;
  Acc* source = own.rest();
  Acc* dest = source + depthwise_turned_size(source_pixels);
  const DepthwiseCorrelation<Acc> turned = {c.h,
                                            c.w,
                                            1,
                                            kDepthwiseTurned,
                                            1,
                                            c.backward,
                                            turned_view<const Acc>(source, c.w.source),
                                            View4<const Acc>{},
                                            turned_view(dest, c.w.dest),
                                            nullptr,
                                            0};
  const ChannelBlock<Acc> k = {source,   dest,     kDepthwiseTurned, own.weight,
                               own.bias, own.taps, own.zero,         own.outside};
  int64_t ready = -1;
  for (int64_t item = begin; item < end; ++item) {
    const int64_t block = item / c.batch, channel = block * kDepthwiseTurned;
    const int64_t channels = least(kDepthwiseTurned, c.channels - channel);
    if (block != ready) take_weights(c, channel, channels, own.weight, own.bias);
    ready = block;
    turn_planes(c.source.data + turned_offset(c.source, c.batch, item), c.source.c, channels,
                source_pixels, source);
    correlate_rows_of_channels(turned, k, 0, c.h.dest);
    turn_back(dest, dest_pixels, c.dest.data + turned_offset(c.dest, c.batch, item), c.dest.c,
              channels);
  }
}
