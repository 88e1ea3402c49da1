// The gradient of the weight: for every tap a product of grad_out, whose pixels are the terms of
// the sum, with the input as the tap sees it.

// Terms are taken in blocks of pixels: part of a row, rows of an image, or whole images. If P holds
// several terms, these are the same pixel of as many images.
template <class T, class Pack = Packed<T>>
struct WeightGradient {
  using P = Pack;
  using Acc = SumOf<P>;
  static constexpr int64_t kTerms = kTermsOf<const T*, P>;

  const Conv2dBackwardWeightArgs<T>& args;
  const Conv2dWeightPlan& plan;
  Correlation sizes;
  int64_t* row_table;
  int64_t* col_table;
  P* grad_out;  // [out channels / width][pixels][width]
  P* strip;
  Acc* sums;  // [rows of the gradient, row]
  Acc* totals;
  View4<const T> grad{};  // of conv.out, with the pixels that are next

  WeightGradient(const Conv2dBackwardWeightArgs<T>& args, const Conv2dWeightPlan& plan,
                 void* memory)
      : args(args), plan(plan), sizes(forward_correlation(args.conv.shape)) {
    Scratch scratch{static_cast<char*>(memory)};
    row_table = scratch.take<int64_t>(kTileDepth);
    col_table = scratch.take<int64_t>(kTileDepth);
    grad_out = scratch.take<P>(plan.grad_elements);
    strip = scratch.take<P>(plan.strip_elements);
    sums = scratch.take<Acc>(plan.sum_elements);
    totals = plan.totals ? scratch.take<Acc>(plan.sum_elements) : sums;
  }

  Portion pixels_at(int64_t block) const {
    const int64_t across = ceil_div(sizes.out_w, plan.block_cols);
    const int64_t down = ceil_div(sizes.out_h, plan.block_rows);
    Portion p{};
    p.col = block % across * plan.block_cols;
    p.cols = least(plan.block_cols, sizes.out_w - p.col);
    p.row = block / across % down * plan.block_rows;
    p.rows = least(plan.block_rows, sizes.out_h - p.row);
    p.image = block / across / down * plan.block_images;
    p.images = least(plan.block_images, sizes.batch - p.image);
    return p;
  }

  // Row of all images, as RowsOnDemand counts them.
  int64_t first_row(const Portion& p) const { return p.image * sizes.out_h + p.row; }
  int64_t last_row(const Portion& p) const {
    return (p.image + p.images - 1) * sizes.out_h + p.row + p.rows;
  }
  void find_grad(const Portion& p, const Range& blocks, int64_t channel, int64_t channels) {
    grad = args.grad_out(first_row(p), last_row(p), last_row(pixels_at(blocks.last - 1)), channel,
                         channels);
  }

  static int64_t packed_images(const Portion& p) { return ceil_div(p.images, kTerms); }
  static int64_t packed_depth(const Portion& p) { return packed_images(p) * p.rows * p.cols; }

  // The input of the images that P holds together, the number-th of a portion.
  auto input(int64_t group, const Portion& p, int64_t number) const {
    const View4<const T>& x = args.conv.x;
    const int64_t image = number * kTerms;
    const T* first = x.data + (p.image + image) * x.n + group * sizes.channels * x.c;
    return Source{
        pieces<P>(first, x.n, p.images - image), x.c, x.h, x.w, sizes.source_h, sizes.source_w};
  }

  void pack_grad_out(const WeightTile& t, const Portion& p, int64_t width) const {
    const View4<const T>& g = grad;
    const int64_t first = t.group * sizes.out_channels + t.out_channel;
    const int64_t per_image = p.rows * p.cols, depth = packed_depth(p);
    const bool joined = p.rows == 1 || g.h == p.cols * g.w;
    const int64_t lines = joined ? 1 : p.rows, length = joined ? per_image : p.cols;
    for (int64_t i = 0; i < t.out_channels; i += width) {
      const int64_t here = least(width, t.out_channels - i);
      P* panel = grad_out + i * depth;
      if (here < width) fill_zero(panel, 1, depth * width);
      for (int64_t image = 0; image < p.images; image += kTerms) {
        for (int64_t y = 0; y < lines; ++y) {
          const T* from = g.data + (p.image + image) * g.n + (first + i) * g.c + (p.row + y) * g.h +
                          p.col * g.w;
          copy_block(pieces<P>(from, g.n, p.images - image), g.c, g.w, here, length,
                     panel + (image / kTerms * per_image + y * p.cols) * width, 1, width);
        }
      }
    }
  }

  // table[pixel] = place of the pixel in a strip whose elements are `width` numbers. In the sum,
  // rows follow each other, each of all images, so that those outside of the input can be left out.
  void fill_pixels(const Portion& p, int64_t image_size, int64_t row_size, int64_t col_size,
                   int64_t* table) const {
    for (int64_t y = 0, k = 0; y < p.rows; ++y) {
      for (int64_t image = 0; image < packed_images(p); ++image) {
        for (int64_t x = 0; x < p.cols; ++x, ++k) {
          table[k] = image * image_size + y * row_size + x * col_size;
        }
      }
    }
  }

  TileSums<P> sums_at(int64_t row, int64_t col) const {
    return TileSums<P>{sums, plan.sum_row, totals, {nullptr, 0, 0}}.at(row, col);
  }

  // Both operands are multiplied as they lie in the caller's tensors where their channels follow
  // each other, the only tap is always inside of the image, and few channels would reuse packed
  // copies.
  static constexpr int64_t kMostDirect = 64;
  bool direct(int64_t channels) const {
    const Conv2dArgs<const T, T, const T>& conv = args.conv;
    return sizeof(T) == sizeof(P) && sizes.taps() == 1 &&
           least(sizes.channels, sizes.out_channels) <= kMostDirect && conv.x.c == 1 &&
           conv.out.c == 1 && channels % kPanelCols<P> == 0 && sizes.h.first == 0 &&
           sizes.w.first == 0 && (sizes.out_h - 1) * sizes.h.stride < sizes.source_h &&
           (sizes.out_w - 1) * sizes.w.stride < sizes.source_w;
  }
  void add_direct(const WeightTile& t, const Portion& p, int64_t number) const {
    const View4<const T>& g = grad;
    const View4<const T>& x = args.conv.x;
    fill_pixels(p, g.n, g.h, g.w, row_table);
    fill_pixels(p, x.n, x.h * sizes.h.stride, x.w * sizes.w.stride, col_table);
    if constexpr (sizeof(T) == sizeof(P)) {
      const P* from = g.data + p.image * g.n + p.row * g.h + p.col * g.w +
                      t.group * sizes.out_channels + t.out_channel;
      const P* with = x.data + p.image * x.n + p.row * sizes.h.stride * x.h +
                      p.col * sizes.w.stride * x.w + t.group * sizes.channels + t.channel;
      sums_at(0, 0).add_block(number, t.out_channels, t.channels, p.images * p.rows * p.cols,
                              {from, 1, 1, row_table, panel_rows(t.out_channels)},
                              {with, 1, col_table, kPanelCols<P>});
    }
  }

  // Input channels in the lanes: sums[tap][out channel][in channel]
  void add_input_channels(const WeightTile& t, const Portion& p, int64_t number) const {
    if (direct(t.channels)) return add_direct(t, p, number);
    const int64_t depth = packed_depth(p);
    const int64_t height = panel_rows(t.out_channels);
    const int64_t width = t.out_channels <= kFewRows ? kWideCols<P> : kPanelCols<P>;
    pack_grad_out(t, p, height);
    fill_pixels(p, p.rows * p.cols * height, p.cols * height, height, row_table);
    Correlation tile = sizes;
    tile.h.first += t.row * tile.h.step;
    tile.h.count = t.rows;
    tile.w.first += t.col * tile.w.step;
    tile.w.count = t.cols;
    const Blocks passes(tile, kTileDepth, 1);  // of taps
    for (int64_t i = 0; i < passes.count(); ++i) {
      const Block taps = passes[i];
      if (taps.channel > 0) break;
      Correlation part = tile;
      part.h.first += taps.row * part.h.step;
      part.h.count = taps.rows;
      part.w.first += taps.col * part.w.step;
      part.w.count = taps.cols;
      const StripLayout layout(part, p.row, p.rows, p.col, p.cols);
      fill_pixels(p, layout.size * width, layout.pitch * width, width, col_table);
      for (int64_t c = 0; c < t.channels; c += width) {
        const int64_t here = least(width, t.channels - c);
        for (int64_t image = 0; image < packed_images(p); ++image) {
          layout.fill_lanes(input(t.group, p, image), t.channel + c, here, width,
                            strip + image * layout.size * width);
        }
        for (int64_t h = 0; h < taps.rows; ++h) {
          const Range inside = outputs_inside(part.h, h, p.row, p.rows, sizes.source_h);
          const int64_t row_terms = packed_images(p) * p.cols, first = inside.first * row_terms;
          const Rows<P> rows{grad_out, depth, 1, row_table + first, height};
          for (int64_t w = 0; w < taps.cols; ++w) {
            const int64_t tap = (taps.row + h) * tile.w.count + taps.col + w;
            const Cols<P> cols{strip + layout.offset(h, w) * width, 0, col_table + first, width};
            sums_at(tap * plan.out_channel_tile, c)
                .add_block(number, t.out_channels, here, (inside.last - inside.first) * row_terms,
                           rows, cols);
          }
        }
      }
    }
  }

  // Output channels in the lanes, neighbouring taps of a row of the kernel as rows:
  // sums[in channel][tap][out channel]
  void add_output_channels(const WeightTile& t, const Portion& p, int64_t number) const {
    const int64_t depth = packed_depth(p);
    const int64_t width = sizes.w.count <= kFewRows ? kWideCols<P> : kPanelCols<P>;
    pack_grad_out(t, p, width);
    fill_pixels(p, p.rows * p.cols * width, p.cols * width, width, col_table);
    // Taps that are rows of one panel must be a fixed distance apart: all columns, in their order.
    Correlation dense = sizes;
    dense.h.stride = dense.w.stride = 1;
    const StripLayout layout(dense, p.row * sizes.h.stride, (p.rows - 1) * sizes.h.stride + 1,
                             p.col * sizes.w.stride, (p.cols - 1) * sizes.w.stride + 1);
    fill_pixels(p, layout.size, layout.pitch * sizes.h.stride, sizes.w.stride, row_table);
    const int64_t channel_size = packed_images(p) * layout.size;
    for (int64_t image = 0; image < packed_images(p); ++image) {
      layout.fill(input(t.group, p, image), t.channel, t.channels, strip + image * layout.size,
                  channel_size);
    }
    const int64_t step = layout.offset(0, 1 % sizes.w.count) - layout.offset(0, 0);
    for (int64_t c = 0; c < t.channels; ++c) {
      for (int64_t h = 0; h < sizes.h.count; ++h) {
        const Range inside = outputs_inside(sizes.h, h, p.row, p.rows, sizes.source_h);
        const int64_t row_terms = packed_images(p) * p.cols, first = inside.first * row_terms;
        const Rows<P> rows{strip + c * channel_size + layout.offset(h, 0), step, step,
                           row_table + first, panel_rows(sizes.w.count)};
        const Cols<P> cols{grad_out, depth, col_table + first, width};
        sums_at((c * sizes.h.count + h) * sizes.w.count, 0)
            .add_block(number, sizes.w.count, t.out_channels,
                       (inside.last - inside.first) * row_terms, rows, cols);
      }
    }
  }

  void add(const WeightTile& t, int64_t block) {
    const Portion p = pixels_at(block);
    find_grad(p, t.blocks, t.group * sizes.out_channels + t.out_channel, t.out_channels);
    const int64_t number = block - t.blocks.first;
    if (plan.output_channels_in_lanes) {
      add_output_channels(t, p, number);
    } else {
      add_input_channels(t, p, number);
    }
  }

  const Acc* finish(const WeightTile& t) const {
    const int64_t rows = plan.sum_elements / plan.sum_row;
    return sums_at(0, 0).finish(t.blocks.last - t.blocks.first, rows, plan.sum_row);
  }

  template <class O>
  void store(const WeightTile& t, const View4<O>& out, const Acc* result) const {
    const int64_t row = plan.sum_row;
    if (plan.output_channels_in_lanes) {
      return store_taps_by_channel(out, t.rows, t.cols, t.out_channels, t.channels, result, row);
    }
    store_taps(out, t.rows, t.cols, t.out_channels, t.channels, result, plan.out_channel_tile * row,
               row);
  }
};
