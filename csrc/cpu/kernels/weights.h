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

// Where the weights of a block begin, first tap of the kernel.
template <class T>
const T* first_weight(const CorrelationArgs<T>& args, const Block& block, const Portion& portion) {
  const Correlation& c = args.sizes;
  return args.weight + portion.channel * args.weight_out + block.channel * args.weight_in +
         c.h.weight * args.weight_h + c.w.weight * args.weight_w;
}
// How far a tap is from there.
template <class T>
int64_t tap_offset(const CorrelationArgs<T>& args, int64_t row, int64_t col) {
  return row * args.sizes.h.weight_step * args.weight_h +
         col * args.sizes.w.weight_step * args.weight_w;
}

// What pack_weights does, if the weights lie in memory so that long pieces can be read; else false.
template <class T, class P>
bool pack_pieces_of_weights(const CorrelationArgs<T>& args, const Block& block,
                            const Portion& portion, int64_t width, P* out) {
  const Correlation& c = args.sizes;
  const int64_t taps = block.rows * block.cols, depth = block.depth();
  const T* first = first_weight(args, block, portion);
  // All taps of a channel in order of memory.
  if (taps == c.taps() && taps > 1 && c.w.weight_step * args.weight_w == 1 &&
      (c.h.count == 1 || c.h.weight_step * args.weight_h == c.w.count)) {
    if (args.weight_in == taps) {
      pack_panels(first, args.weight_out, 1, portion.channels, depth, width, out);
      return true;
    }
    for (int64_t i = 0; i < portion.channels; i += width) {
      P* panel = out + i * depth;
      const int64_t here = least(width, portion.channels - i);
      if (here < width) fill_zero(panel, 1, depth * width);
      for (int64_t k = 0; k < block.channels; ++k) {
        copy_block(first + i * args.weight_out + k * args.weight_in, args.weight_out, 1, here, taps,
                   panel + k * taps * width, 1, width);
      }
    }
    return true;
  }
  if (args.weight_out != 1) return false;
  // Rows of all channels lie in one piece.
  if (portion.channels % width != 0) {
    const int64_t last = portion.channels / width * width;
    fill_zero(out + last * depth, 1, depth * width);
  }
  for (int64_t k = 0; k < depth; ++k) {
    const T* from =
        first + k / taps * args.weight_in +
        tap_offset(args, block.row + k % taps / block.cols, block.col + k % taps % block.cols);
    for (int64_t i = 0; i < portion.channels; i += width) {
      copy_run(from + i, out + i * depth + k * width, least(width, portion.channels - i));
    }
  }
  return true;
}

// table[k] = place of the k-th term of a block in a packed panel of steps of `step`. In the sum,
// rows of taps follow each other, so that those outside of the image can be left out of it. In a
// panel channels do, as in memory.
inline void fill_terms(const Block& block, int64_t channels, int64_t step, int64_t* table) {
  for (int64_t row = 0; row < block.rows; ++row) {
    for (int64_t channel = 0; channel < channels; ++channel) {
      for (int64_t col = 0; col < block.cols; ++col) {
        *table++ = ((channel * block.rows + row) * block.cols + col) * step;
      }
    }
  }
}

// Panels [channels / width][depth][width] of weights: out channels side by side. Along depth, the
// taps of a channel, or of several that P holds together, follow each other.
template <class T, class P>
void pack_weights(const CorrelationArgs<T>& args, const Block& block, const Portion& portion,
                  int64_t width, P* out) {
  constexpr int64_t kTerms = kTermsOf<const T*, P>;
  if constexpr (kTerms == 1) {
    if (pack_pieces_of_weights(args, block, portion, width, out)) return;
  }
  const int64_t taps = block.rows * block.cols, depth = block.packed_depth(kTerms);
  for (int64_t i = 0; i < portion.channels; i += width) {
    P* panel = out + i * depth;
    const int64_t here = least(width, portion.channels - i);
    const T* from = first_weight(args, block, portion) + i * args.weight_out;
    if (here < width) fill_zero(panel, 1, depth * width);
    for (int64_t t = 0; t < taps; ++t) {
      copy_terms(from + tap_offset(args, block.row + t / block.cols, block.col + t % block.cols),
                 args.weight_out, args.weight_in, here, block.channels, panel + t * width, 1,
                 taps * width);
    }
  }
}
