// Gradients of weights in tiles: what an item of work is, and the way out of its sums, to the
// gradient or to a partial one (conv2d_chunks.h).

// One item: a tile of the gradient of a group, summed over one chunk of the blocks.
struct WeightTile {
  int64_t group, chunk;
  int64_t out_channel, out_channels, channel, channels;  // of the group
  int64_t row, rows, col, cols;                          // of the kernel
  Range blocks;
};

inline Range blocks_of_chunk(const Conv2dWeightPlan& plan, int64_t chunks, int64_t chunk) {
  const int64_t per_chunk = ceil_div(plan.blocks, chunks);
  const int64_t first = least(chunk * per_chunk, plan.blocks);
  return {first, least(first + per_chunk, plan.blocks)};
}

// Items are (group, chunk, out channels, in channels, rows, columns).
inline WeightTile weight_tile_at(const Correlation& sizes, const Conv2dWeightPlan& plan,
                                 int64_t chunks, int64_t item) {
  const int64_t tap_cols = ceil_div(sizes.w.count, plan.tap_cols);
  const int64_t tap_rows = ceil_div(sizes.h.count, plan.tap_rows);
  const int64_t number = item % plan.tiles, channels = number / tap_cols / tap_rows;
  WeightTile t{};
  t.group = item / plan.tiles / chunks;
  t.chunk = item / plan.tiles % chunks;
  t.out_channel = channels / plan.in_channel_tiles * plan.out_channel_tile;
  t.out_channels = least(plan.out_channel_tile, sizes.out_channels - t.out_channel);
  t.channel = channels % plan.in_channel_tiles * plan.in_channel_tile;
  t.channels = least(plan.in_channel_tile, sizes.channels - t.channel);
  t.row = number / tap_cols % tap_rows * plan.tap_rows;
  t.rows = least(plan.tap_rows, sizes.h.count - t.row);
  t.col = number % tap_cols * plan.tap_cols;
  t.cols = least(plan.tap_cols, sizes.w.count - t.col);
  t.blocks = blocks_of_chunk(plan, chunks, t.chunk);
  return t;
}

// The part of the gradient from an output channel of any group, input channel and tap on.
template <class T>
View4<T> gradient_at(const Conv2dBackwardWeightArgs<T>& args, int64_t out_channel, int64_t channel,
                     int64_t row, int64_t col) {
  const View4<T>& w = args.conv.weight;
  return {w.data + out_channel * w.n + channel * w.c + row * w.h + col * w.w, w.n, w.c, w.h, w.w};
}
// The same of a partial one, whose elements lie as those of the gradient.
template <class T>
View4<Accumulator<T>> partial_at(const Conv2dBackwardWeightArgs<T>& args, int64_t chunk,
                                 int64_t out_channel, int64_t channel, int64_t row, int64_t col) {
  const View4<T>& w = args.conv.weight;
  return {args.partial + chunk * args.conv.shape.out_channels * w.n + out_channel * w.n +
              channel * w.c + row * w.h + col * w.w,
          w.n, w.c, w.h, w.w};
}

// out[k, c, taps] from result[tap][k][c]; `tap_size` elements from tap to tap, `row` from k to k.
template <class O, class Acc>
void store_taps(const View4<O>& out, int64_t kernel_h, int64_t kernel_w, int64_t out_channels,
                int64_t channels, const Acc* result, int64_t tap_size, int64_t row) {
  const int64_t taps = kernel_h * kernel_w;
  if (out.w == 1 && out.h == kernel_w && taps > 1) {  // taps follow each other
    for (int64_t k = 0; k < out_channels; ++k) {
      copy_block(result + k * row, tap_size, 1, taps, channels, out.data + k * out.n, 1, out.c);
    }
    return;
  }
  for (int64_t t = 0; t < taps; ++t) {
    copy_block(result + t * tap_size, row, 1, out_channels, channels,
               out.data + t / kernel_w * out.h + t % kernel_w * out.w, out.n, out.c);
  }
}

// The same from result[c][tap][k], `row` elements from tap to tap.
template <class O, class Acc>
void store_taps_by_channel(const View4<O>& out, int64_t kernel_h, int64_t kernel_w,
                           int64_t out_channels, int64_t channels, const Acc* result, int64_t row) {
  const int64_t taps = kernel_h * kernel_w;
  if (out.w == 1 && out.h == kernel_w && out.c == taps && taps > 1) {
    return copy_block(result, row, 1, channels * taps, out_channels, out.data, 1, out.n);
  }
  for (int64_t t = 0; t < taps; ++t) {
    copy_block(result + t * row, taps * row, 1, channels, out_channels,
               out.data + t / kernel_w * out.h + t % kernel_w * out.w, out.c, out.n);
  }
}

// Sums of all items, added and stored by a Gradient.
template <class Gradient, class T>
void sum_tiles(const Conv2dBackwardWeightArgs<T>& args, const Conv2dWeightPlan& plan, int64_t begin,
               int64_t end, void* scratch) {
  Gradient gradient(args, plan, scratch);
  for (int64_t item = begin; item < end; ++item) {
    const WeightTile t = weight_tile_at(gradient.sizes, plan, args.chunks, item);
    for (int64_t block = t.blocks.first; block < t.blocks.last; ++block) gradient.add(t, block);
    const Accumulator<T>* result = gradient.finish(t);
    const int64_t channel = t.group * gradient.sizes.out_channels + t.out_channel;
    if (args.partial == nullptr) {
      gradient.store(t, gradient_at(args, channel, t.channel, t.row, t.col), result);
    } else {
      gradient.store(t, partial_at(args, t.chunk, channel, t.channel, t.row, t.col), result);
    }
  }
}
