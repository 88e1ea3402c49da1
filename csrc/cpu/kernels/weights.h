// One of the sums of cpu/correlation.h: its tensors, a portion of it, and its weights packed.

// One correlation of a call: its sizes, and where its tensors begin.
template <class T>
struct CorrelationArgs {
  Correlation sizes;
  View4<const T> source;
  const T* weight;
  int64_t weight_out, weight_in, weight_h, weight_w;  // strides
  const T* bias;
  int64_t bias_stride;
  View4<T> out;
  // Of the groups that are computed together by GroupedCorrelator.
  int64_t groups = 1, weight_group = 0;
};

// A portion of it.
struct Portion {
  int64_t channel, channels;
  int64_t image, images, row, rows, col, cols;
};
inline Portion portion_at(const Correlation& c, const Conv2dPlan& plan, int64_t tile,
                          int64_t strip) {
  const int64_t across = ceil_div(c.out_w, plan.strip_cols);
  const int64_t down = ceil_div(c.out_h, plan.strip_rows);
  Portion p;
  p.channel = tile * plan.channel_tile;
  p.channels = least(plan.channel_tile, c.out_channels - p.channel);
  p.col = across == 0 ? 0 : strip % across * plan.strip_cols;
  p.cols = least(plan.strip_cols, c.out_w - p.col);
  p.row = across == 0 || down == 0 ? 0 : strip / across % down * plan.strip_rows;
  p.rows = least(plan.strip_rows, c.out_h - p.row);
  p.image = across == 0 || down == 0 ? 0 : strip / across / down * plan.strip_images;
  p.images = least(plan.strip_images, c.batch - p.image);
  return p;
}

// Panels [channels / width][depth][width] of weights: out channels side by side.
template <class T, class P>
void pack_weights(const CorrelationArgs<T>& args, const Block& block, const Portion& portion,
                  int64_t width, P* out) {
  const Correlation& c = args.sizes;
  const int64_t taps = block.rows * block.cols, depth = block.depth();
  const T* first = args.weight + portion.channel * args.weight_out + block.channel * args.weight_in;
  const auto tap_offset = c.h.weight * args.weight_h + c.w.weight * args.weight_w;
  // All taps of a channel in order of memory.
  const bool ordered = taps == c.taps() && taps > 1 && c.w.weight_step * args.weight_w == 1 &&
                       (c.h.count == 1 || c.h.weight_step * args.weight_h == c.w.count);
  if (ordered && args.weight_in == taps) {
    return pack_panels(first + tap_offset, args.weight_out, 1, portion.channels, depth, width, out);
  }
  if (args.weight_out == 1) {  // rows of all channels lie in one piece
    if (portion.channels % width != 0) {
      const int64_t last = portion.channels / width * width;
      fill_zero(out + last * depth, 1, depth * width);
    }
    for (int64_t k = 0; k < depth; ++k) {
      const int64_t channel = k / taps, row = block.row + k % taps / block.cols;
      const int64_t col = block.col + k % taps % block.cols;
      const T* from = first + tap_offset + channel * args.weight_in +
                      row * c.h.weight_step * args.weight_h + col * c.w.weight_step * args.weight_w;
      for (int64_t i = 0; i < portion.channels; i += width) {
        copy_run(from + i, out + i * depth + k * width, least(width, portion.channels - i));
      }
    }
    return;
  }
  for (int64_t i = 0; i < portion.channels; i += width) {
    P* panel = out + i * depth;
    const int64_t here = least(width, portion.channels - i);
    const T* from = first + tap_offset + i * args.weight_out;
    if (here < width) fill_zero(panel, 1, depth * width);
    if (ordered) {
      for (int64_t k = 0; k < block.channels; ++k) {
        copy_block(from + k * args.weight_in, args.weight_out, 1, here, taps,
                   panel + k * taps * width, 1, width);
      }
      continue;
    }
    for (int64_t t = 0; t < taps; ++t) {
      const int64_t row = block.row + t / block.cols, col = block.col + t % block.cols;
      copy_block(
          from + row * c.h.weight_step * args.weight_h + col * c.w.weight_step * args.weight_w,
          args.weight_out, args.weight_in, here, block.channels, panel + t * width, 1,
          taps * width);
    }
  }
}
