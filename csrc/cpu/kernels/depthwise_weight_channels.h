// The weight gradient of a depthwise convolution with lanes along the channels, which are
// contiguous.

// The sums of a block of channels, as [tap][kDepthwiseBlock] each: of a block of terms, of a span
// of blocks, and of all.
template <class A>
struct ChannelSums {
  A *block, *span, *total;
  int64_t size;
  int64_t terms, blocks;

  void clear() {
    for (int64_t i = 0; i < size; ++i) block[i] = span[i] = total[i] = 0;
    terms = blocks = 0;
  }
  // Makes room in the block for more terms.
  void reserve(int64_t more) {
    if ((terms += more) <= kTileDepth) return;
    move_sums(block, span, size);
    terms = more;
    if (++blocks < kSpan / kTileDepth) return;
    move_sums(span, total, size);
    blocks = 0;
  }
  void finish() {
    move_sums(block, span, size);
    move_sums(span, total, size);
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

// Adds the products of grad_out with rows [row, row + returned number) of at most `rows`.
template <int kStep, class T>
inline int64_t add_rows(const DepthwiseCorrelation<T>& c, const View4<const T>& grad, int64_t row,
                        int64_t rows, int64_t columns, const Inside& inside, int64_t channels,
                        const T* zero, ChannelTap* taps, ChannelSums<Accumulator<T>>* sums) {
  using Two = DepthwiseTile<kStep, 1, 2, 7>;
  using One = DepthwiseTile<kStep, 1, 1, 7>;
  const int64_t whole = channels / kLanes<Accumulator<T>> * kLanes<Accumulator<T>>;
  const bool two = rows > 1;
  rows = two ? 2 : 1;
  const int64_t done = two ? add_tiles<Two>(c, grad, row, columns, zero, whole, sums)
                           : add_tiles<One>(c, grad, row, columns, zero, whole, sums);
  for (int64_t y = row; y < row + rows; ++y) {
    if (whole < channels) {
      add_columns(c, grad, y, 0, done, inside, whole, channels, taps, sums);
    }
    add_columns(c, grad, y, done, columns, inside, 0, channels, taps, sums);
  }
  return rows;
}

template <class T>
inline void weight_gradient_channels(const Conv2dBackwardWeightArgs<T>& args, int64_t begin,
                                     int64_t end, void* scratch) {
  using Acc = Accumulator<T>;
  const Conv2dArgs<const T, T, const T>& conv = args.conv;
  const Conv2dShape& s = conv.shape;
  DepthwiseCorrelation<T> c = {
      forward_rows(s), forward_columns(s), s.batch,    s.in_channels, 1, false,
      conv.x,          View4<const T>{},   View4<T>{}, nullptr,       0};
  const int64_t all = s.kernel_h * s.kernel_w, size = all * kDepthwiseBlock;
  ChannelTap* taps = static_cast<ChannelTap*>(scratch);
  Acc* block = reinterpret_cast<Acc*>(taps + all);
  ChannelSums<Acc> sums = {block, block + size, block + 2 * size, size, 0, 0};
  T* zero = reinterpret_cast<T*>(block + 3 * size);
  for (int64_t i = 0; i < kDepthwiseBlock; ++i) zero[i] = T{};
  const int64_t units = s.batch * s.out_h, chunk_size = ceil_div(units, args.chunks);
  const Inside inside = all_inside(c.w, 0);
  const bool near = tile_fits<DepthwiseTile<1, 1, 1, 1>>(c.h, c.w);
  const bool apart = tile_fits<DepthwiseTile<2, 1, 1, 1>>(c.h, c.w);
  for (int64_t item = begin; item < end; ++item) {
    const int64_t chunk = item % args.chunks, channel = item / args.chunks * kDepthwiseBlock;
    const int64_t channels = least(kDepthwiseBlock, s.in_channels - channel);
    const int64_t last = least((chunk + 1) * chunk_size, units);
    sums.clear();
    for (int64_t unit = chunk * chunk_size; unit < last;) {
      const int64_t image = unit / s.out_h, row = unit % s.out_h;
      const int64_t rows = least(last - unit, s.out_h - row);
      c.source.data = conv.x.data + image * conv.x.n + channel;
      View4<const T> grad = conv.out;
      grad.data += image * grad.n + channel;
      if (near) {
        unit += add_rows<1>(c, grad, row, rows, s.out_w, inside, channels, zero, taps, &sums);
      } else if (apart) {
        unit += add_rows<2>(c, grad, row, rows, s.out_w, inside, channels, zero, taps, &sums);
      } else {
        add_columns(c, grad, row, 0, s.out_w, inside, 0, channels, taps, &sums);
        ++unit;
      }
    }
    sums.finish();
    for (int64_t i = 0; i < channels; ++i) {
      put_gradients(args, chunk, channel + i, sums.total + i, kDepthwiseBlock);
    }
  }
}
