// The weight gradient of a depthwise convolution with lanes along the channels, which are
// contiguous.

// The sums of a block of channels, as [tap][kDepthwiseBlock] each: of a block of terms, of a span
// of blocks, and of all.
template <class A>
struct ChannelSums {
  A *block, *span, *total;
  int64_t taps;
  int64_t channels = 0, terms = 0, blocks = 0;

  ChannelSums(A* scratch, int64_t count)
      : block(scratch),
        span(block + count * kDepthwiseBlock),
        total(span + count * kDepthwiseBlock),
        taps(count) {}
  A* rest() const { return total + taps * kDepthwiseBlock; }

  void clear(int64_t n) {
    channels = round_up(n, kDepthwiseRounding);
    for (int64_t t = 0; t < 3 * taps; ++t) fill_zero(block + t * kDepthwiseBlock, 1, channels);
    terms = blocks = 0;
  }
  void move(A* from, A* to) {
    for (int64_t at = 0; at < taps * kDepthwiseBlock; at += kDepthwiseBlock) {
      move_sums(from + at, to + at, channels);
    }
  }
  // Makes room in the block for more terms.
  void reserve(int64_t more) {
    if ((terms += more) <= kTileDepth) return;
    move(block, span);
    terms = more;
    if (++blocks < kSpan / kTileDepth) return;
    move(span, total);
    blocks = 0;
  }
  void finish() {
    move(block, span);
    move(span, total);
  }
};

// sum[tap] += Σ grad · x over kPixels neighbouring pixels, for a block of channels.
template <int kPixels, class T>
inline void add_pixels(const T* grad, int64_t grad_step, const T* x, int64_t x_step,
                       const ChannelTap* taps, int64_t count, Accumulator<T>* sum,
                       int64_t channels) {
  using Acc = Accumulator<T>;
  for (int64_t c = 0; c < channels; c += kLanes<Acc>) {
    const int64_t lanes = least<int64_t>(channels - c, kLanes<Acc>);
    Vec<Acc> g[kPixels];
    for (int p = 0; p < kPixels; ++p) g[p] = load_lanes(grad + p * grad_step + c, lanes);
    for (int64_t t = 0; t < count; ++t) {
      Acc* at = sum + taps[t].weight + c;
      const T* in = x + taps[t].offset + c;
      Vec<Acc> value = load(at);
      for (int p = 0; p < kPixels; ++p) value += g[p] * load_lanes(in + p * x_step, lanes);
      store(at, value);
    }
  }
}

// Adds the products of grad_out, in columns [u, end) of one row, with any kernel.
template <class T>
inline void add_columns(const DepthwiseCorrelation<T>& c, const View4<const T>& grad, int64_t row,
                        int64_t u, int64_t end, const Inside& inside, int64_t first,
                        int64_t channels, ChannelTap* taps, ChannelSums<Accumulator<T>>* sums) {
  constexpr int kPixels = 4;
  const int64_t x_step = c.w.step * c.source.w;
  const T* g = grad.data + row * grad.h + first;
  const T* x = c.source.data + row * c.h.step * c.source.h + first;
  Accumulator<T>* block = sums->block + first;
  while (u < end) {
    const bool edge = u < inside.first || u >= inside.last;
    const int64_t count = channel_taps(c, 0, row, 0, edge ? u : -1, taps);
    const int64_t stop = edge ? u + 1 : least(least(inside.last, end), u + kTileDepth);
    sums->reserve(stop - u);
    for (; u + kPixels <= stop; u += kPixels) {
      add_pixels<kPixels>(g + u * grad.w, grad.w, x + u * x_step, x_step, taps, count, block,
                          channels - first);
    }
    for (; u < stop; ++u) {
      add_pixels<1>(g + u * grad.w, grad.w, x + u * x_step, x_step, taps, count, block,
                    channels - first);
    }
  }
}

// Adds those of whole tiles that begin at a row, for whole vectors of channels. Returns the number
// of columns.
template <class Tile, class T>
inline int64_t add_tiles(const DepthwiseCorrelation<T>& c, const View4<const T>& grad, int64_t row,
                         int64_t columns, const T* zero, int64_t channels,
                         ChannelSums<Accumulator<T>>* sums) {
  TileAddresses<Tile, T, const T> tile;
  int64_t u = 0;
  for (; u + Tile::pixels <= columns; u += Tile::pixels) {
    tile.find_source(c.h, c.w, c.source, row, u, zero);
    tile.find_dest(row, row + Tile::rows, columns, grad, row, u, zero);
    sums->reserve(Tile::rows * Tile::pixels);
    for (int64_t i = 0; i < channels; i += kLanes<Accumulator<T>>) {
      add_tile(tile, i, sums->block + i, kDepthwiseBlock);
    }
  }
  return u;
}

// What adds up the products of grad_out and x in one image.
template <class T>
struct ChannelProducts {
  using Acc = Accumulator<T>;
  DepthwiseCorrelation<T> c;  // its weight, dest and bias are not used
  View4<const T> grad;
  int64_t columns, channels;  // of grad
  Inside inside;
  const T* zero;
  ChannelTap* taps;
  ChannelSums<Acc>* sums;

  // Adds the next rows of grad_out, [row, row + rows) or less. Returns their number.
  int64_t add_rows(int64_t row, int64_t rows) const {
    if (tile_fits<DepthwiseTile<1, 1, 1, 1>>(c.h, c.w)) return add_tiled_rows<1>(row, rows);
    if (tile_fits<DepthwiseTile<2, 1, 1, 1>>(c.h, c.w)) return add_tiled_rows<2>(row, rows);
    add_columns(c, grad, row, 0, columns, inside, 0, channels, taps, sums);
    return 1;
  }
  template <int kStep>
  int64_t add_tiled_rows(int64_t row, int64_t rows) const {
    using Two = DepthwiseTile<kStep, 1, 2, 7>;
    using One = DepthwiseTile<kStep, 1, 1, 7>;
    const int64_t whole = channels / kLanes<Acc> * kLanes<Acc>;
    rows = rows > 1 ? 2 : 1;
    const int64_t done = rows > 1 ? add_tiles<Two>(c, grad, row, columns, zero, whole, sums)
                                  : add_tiles<One>(c, grad, row, columns, zero, whole, sums);
    for (int64_t y = row; y < row + rows; ++y) {
      if (whole < channels) {
        add_columns(c, grad, y, 0, done, inside, whole, channels, taps, sums);
      }
      add_columns(c, grad, y, done, columns, inside, 0, channels, taps, sums);
    }
    return rows;
  }
};

template <class S>
inline ChannelProducts<S> channel_products(const Conv2dShape& s, const View4<const S>& x,
                                           const View4<const S>& grad, const S* zero,
                                           ChannelTap* taps, ChannelSums<Accumulator<S>>* sums) {
  const DepthwiseCorrelation<S> c = {forward_rows(s),
                                     forward_columns(s),
                                     s.batch,
                                     s.in_channels,
                                     1,
                                     false,
                                     x,
                                     View4<const S>{},
                                     View4<S>{},
                                     nullptr,
                                     0};
  return {c, grad, s.out_w, 0, all_inside(c.w, 0), zero, taps, sums};
}

template <class T>
inline void weight_gradient_channels(const Conv2dBackwardWeightArgs<T>& args, int64_t begin,
                                     int64_t end, void* scratch) {
  using Acc = Accumulator<T>;
  const Conv2dArgs<const T, T, const T>& conv = args.conv;
  const Conv2dShape& s = conv.shape;
  const int64_t all = s.kernel_h * s.kernel_w;
  ChannelTap* taps = static_cast<ChannelTap*>(scratch);
  ChannelSums<Acc> sums(reinterpret_cast<Acc*>(taps + all), all);
  T* zero = reinterpret_cast<T*>(sums.rest());
  for (int64_t i = 0; i < kDepthwiseBlock; ++i) zero[i] = T{};
  const int64_t units = s.batch * s.out_h, chunk_size = ceil_div(units, args.chunks);
  ChannelProducts<T> products = channel_products(s, conv.x, conv.out, zero, taps, &sums);
  for (int64_t item = begin; item < end; ++item) {
    const int64_t chunk = item % args.chunks, channel = item / args.chunks * kDepthwiseBlock;
    const int64_t last = least((chunk + 1) * chunk_size, units);
    products.channels = least(kDepthwiseBlock, s.in_channels - channel);
    sums.clear(products.channels);
    for (int64_t unit = chunk * chunk_size; unit < last;) {
      const int64_t image = unit / s.out_h, row = unit % s.out_h;
      products.c.source.data = conv.x.data + image * conv.x.n + channel;
      const int64_t rows = least(last - unit, s.out_h - row);
      products.grad = args.grad_out(unit, unit + least<int64_t>(rows, kDepthwiseGradRows), last,
                                    channel, products.channels);
      products.grad.data += image * products.grad.n + channel;
      unit += products.add_rows(row, rows);
    }
    sums.finish();
    for (int64_t i = 0; i < products.channels; ++i) {
      put_gradients(args, chunk, channel + i, sums.total + i, kDepthwiseBlock);
    }
  }
}

// The same for small planes.
template <class T>
inline void weight_gradient_turned(const Conv2dBackwardWeightArgs<T>& args, int64_t begin,
                                   int64_t end, void* scratch) {
  using Acc = Accumulator<T>;
  const Conv2dArgs<const T, T, const T>& conv = args.conv;
  const Conv2dShape& s = conv.shape;
  const int64_t all = s.kernel_h * s.kernel_w, pixels = s.in_h * s.in_w;
  ChannelTap* taps = static_cast<ChannelTap*>(scratch);
  ChannelSums<Acc> sums(reinterpret_cast<Acc*>(taps + all), all);
  Acc* zero = sums.rest();
  fill_zero(zero, 1, kDepthwiseBlock);
  Acc* x = zero + kDepthwiseBlock;
  Acc* grad = x + depthwise_turned_size(pixels);
  ChannelProducts<Acc> products =
      channel_products<Acc>(s, turned_view<const Acc>(x, s.in_w),
                            turned_view<const Acc>(grad, s.out_w), zero, taps, &sums);
  products.channels = kDepthwiseTurned;
  const int64_t chunk_size = ceil_div(s.batch, args.chunks);
  for (int64_t item = begin; item < end; ++item) {
    const int64_t chunk = item % args.chunks, channel = item / args.chunks * kDepthwiseTurned;
    const int64_t channels = least(kDepthwiseTurned, s.in_channels - channel);
    const int64_t last = least((chunk + 1) * chunk_size, s.batch);
    sums.clear(kDepthwiseTurned);
    for (int64_t image = chunk * chunk_size; image < last; ++image) {
      turn_planes(conv.x.data + image * conv.x.n + channel * conv.x.c, conv.x.c, channels, pixels,
                  x);
      const View4<const T> out =
          args.grad_out(image * s.out_h, (image + 1) * s.out_h, last * s.out_h, channel, channels);
      turn_planes(out.data + image * out.n + channel * out.c, out.c, channels, s.out_h * s.out_w,
                  grad);
      for (int64_t row = 0; row < s.out_h;) row += products.add_rows(row, s.out_h - row);
    }
    sums.finish();
    for (int64_t i = 0; i < channels; ++i) {
      put_gradients(args, chunk, channel + i, sums.total + i, kDepthwiseBlock);
    }
  }
}
