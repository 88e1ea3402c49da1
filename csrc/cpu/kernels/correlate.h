// The sums of cpu/correlation.h, a portion at a time.

// What the items of one thread share: memory, and the packed weights of the last tile.
template <class T, class Pack = Packed<T>>
struct Correlator {
  using P = Pack;
  using Acc = SumOf<P>;
  static constexpr int64_t kTerms = kTermsOf<const T*, P>;

  const Conv2dPlan& plan;
  int64_t* packed;  // the tile whose weights are packed
  int64_t* row_table;
  int64_t* col_table;
  P* weights;
  P* source;
  Acc* bias;
  Acc* sums;
  Acc* totals;

  Correlator(const Conv2dPlan& plan, void* memory) : plan(plan) {
    Scratch scratch{static_cast<char*>(memory)};
    packed = scratch.take<int64_t>(1);
    row_table = scratch.take<int64_t>(kTileDepth);
    col_table = scratch.take<int64_t>(kTileDepth);
    weights = scratch.take<P>(plan.weight_elements);
    source = scratch.take<P>(plan.source_elements);
    bias = scratch.take<Acc>(plan.bias_elements);
    sums = scratch.take<Acc>(plan.sum_elements);
    totals = plan.totals ? scratch.take<Acc>(plan.sum_elements) : sums;
  }

  Source<const T*> source_of(const CorrelationArgs<T>& args, int64_t image) const {
    return {args.source.data + image * args.source.n,
            args.source.c,
            args.source.h,
            args.source.w,
            args.sizes.source_h,
            args.sizes.source_w};
  }

  // The packed weights of a block.
  const P* block_weights(const CorrelationArgs<T>& args, const Block& block, const Portion& p,
                         int64_t width, int64_t before, bool ready) const {
    P* place = weights + (plan.keep_weights ? before * round_up(p.channels, width) : 0);
    if (!ready) pack_weights(args, block, p, width, place);
    return place;
  }

  T* out_at(const CorrelationArgs<T>& args, const Portion& p) const {
    const View4<T>& out = args.out;
    return out.data + p.image * out.n + p.channel * out.c + p.row * out.h + p.col * out.w;
  }

  // Whether the pixels of a portion follow each other at the distance of one column.
  static bool pixels_join(const View4<T>& out, const Portion& p) {
    return (p.rows == 1 || out.h == p.cols * out.w) &&
           (p.images == 1 || out.n == p.rows * p.cols * out.w);
  }

  // Whether the rows of run_channels are multiplied as they lie in the caller's tensor: pixels with
  // one tap inside of the image, whose channels follow each other, whole numbers of P apart.
  bool direct_source(const CorrelationArgs<T>& args, const Portion& p) const {
    const Correlation& c = args.sizes;
    const View4<const T>& from = args.source;
    const int64_t steps = c.channels | from.n | from.h | from.w |
                          reinterpret_cast<intptr_t>(from.data) / int64_t(sizeof(T));
    return sizeof(T) * kTerms == sizeof(P) && c.taps() == 1 && from.c == 1 &&
           (kTerms == 1 || steps % 2 == 0) && c.h.first >= 0 && c.w.first >= 0 &&
           (p.row + p.rows - 1) * c.h.stride + c.h.first < c.source_h &&
           (p.col + p.cols - 1) * c.w.stride + c.w.first < c.source_w;
  }

  // Adds a block whose rows are read there: all pixels at once, if they are a fixed distance apart.
  void add_direct(const CorrelationArgs<T>& args, const Portion& p, const Block& block,
                  int64_t number, const Cols<P>& cols, const TileSums<P>& total) const {
    const Correlation& c = args.sizes;
    const int64_t across = c.w.stride * args.source.w, down = c.h.stride * args.source.h;
    const bool rows_join = p.rows == 1 || down == p.cols * across;
    const bool images_join =
        p.images == 1 || (rows_join && args.source.n == p.rows * p.cols * across);
    const int64_t lines = rows_join ? 1 : p.rows, images = images_join ? 1 : p.images;
    const int64_t pixels = (images_join ? p.images : 1) * (rows_join ? p.rows : 1) * p.cols;
    const int64_t depth = block.packed_depth(kTerms);
    fill_table(depth, 1, row_table);
    for (int64_t image = 0; image < images; ++image) {
      for (int64_t y = 0; y < lines; ++y) {
        const T* first = args.source.data + (p.image + image) * args.source.n + block.channel +
                         ((p.row + y) * c.h.stride + c.h.first) * args.source.h +
                         (p.col * c.w.stride + c.w.first) * args.source.w;
        if constexpr (sizeof(T) * kTerms == sizeof(P)) {
          const int64_t step = across / kTerms;
          const Rows<P> rows{reinterpret_cast<const P*>(first), step, step, row_table,
                             panel_rows(pixels)};
          total.at(image * p.rows * p.cols + y * p.cols, 0)
              .add_block(number, pixels, p.channels, depth, rows, cols);
        }
      }
    }
  }

  // Output channels in the lanes, rows of pixels. A run of rows is a row of the image, or, where
  // those are short, all outputs of a strip, with the ones between rows that are computed in vain.
  void run_channels(const CorrelationArgs<T>& args, const Portion& p, bool ready) const {
    const Correlation& c = args.sizes;
    const View4<T>& to = args.out;
    StripLayout layout(c, p.row, p.rows, p.col, p.cols);
    const int64_t taps = c.taps(), row = round_up(p.channels, kLanes<Acc>);
    const Blocks blocks(c, kTileDepth, kTerms);
    const bool gapless = layout.outputs() == p.rows * p.cols;
    const bool by_rows = takes_rows(layout.pitch == p.cols, p.cols, kGemmRows,
                                    rows_inside(c.h, 0, c.out_h, c.source_h));
    layout.outside = !by_rows;
    const int64_t runs = by_rows ? p.rows : 1, run = by_rows ? p.cols : layout.outputs();
    const int64_t pitch = by_rows ? p.cols : layout.pitch, per_image = runs * run;
    TileSums<P> total{
        sums, row, totals,
        start_with_bias(args.bias == nullptr ? nullptr : args.bias + p.channel * args.bias_stride,
                        args.bias_stride, false, p.channels, bias)};
    T* out = out_at(args, p);
    bool direct = false;
    if constexpr (sizeof(T) == sizeof(Acc)) {
      direct = blocks.count() > 0 && blocks.count() <= kSpanBlocks && to.c == 1 &&
               (by_rows || (gapless && pixels_join(to, p)));
      if (direct) total.write_to(out, to.w, blocks.count());
    }
    int64_t before = 0;
    for (int64_t b = 0; b < blocks.count(); ++b) {
      const Block block = blocks[b];
      const int64_t depth = block.packed_depth(kTerms);
      const P* packed = block_weights(args, block, p, kPanelCols<P>, before, ready);
      before += depth;
      const int64_t packed_channels = depth / taps;
      fill_terms(block, packed_channels, kPanelCols<P>, col_table);
      const Cols<P> cols{packed, depth, col_table, kPanelCols<P>};
      if (direct_source(args, p)) {
        add_direct(args, p, block, b, cols, total);
        continue;
      }
      const int64_t channel_size =
          (ceil_div<int64_t>(p.images * layout.size, kLanes<Acc>) | 1) * kLanes<Acc>;
      for (int64_t image = 0; image < p.images; ++image) {
        layout.fill(source_of(args, p.image + image), block.channel, block.channels,
                    source + image * layout.size, channel_size);
      }
      for (int64_t h = 0; h < c.h.count; ++h) {  // as fill_terms
        for (int64_t w = 0; w < c.w.count; ++w) {
          const int64_t offset = layout.offset(h, w), first = h * packed_channels * c.w.count + w;
          for (int64_t channel = 0; channel < packed_channels; ++channel) {
            row_table[first + channel * c.w.count] = offset + channel * channel_size;
          }
        }
      }
      if (gapless && !by_rows && layout.size == run) {  // images, too, follow each other
        const int64_t all = p.images * run;
        total.add_block(b, all, p.channels, depth, {source, 1, 1, row_table, panel_rows(all)},
                        cols);
        continue;
      }
      for (int64_t channel = 0; channel < p.channels; channel += cols.panel) {  // panels stay near
        const int64_t some = least(cols.panel, p.channels - channel);
        for (int64_t i = 0; i < p.images * runs; ++i) {
          const int64_t image = i / runs, y = i % runs;
          TileSums<P> part = total.at(image * per_image + y * run, channel);
          if constexpr (sizeof(T) == sizeof(Acc)) {
            if (direct && by_rows) {
              part.write_to(out + image * to.n + y * to.h + channel, to.w, blocks.count());
            }
          }
          // A row of the image needs no terms that are nothing but zeros.
          const Range inside =
              by_rows ? taps_inside(c.h, p.row + y, c.source_h) : Range{0, c.h.count};
          const int64_t row_terms = packed_channels * c.w.count, first = inside.first * row_terms;
          part.add_block(b, run, some, (inside.last - inside.first) * row_terms,
                         {source + image * layout.size + y * layout.pitch, 1, 1, row_table + first,
                          panel_rows(run)},
                         {packed + channel * depth, depth, col_table + first, cols.panel});
        }
      }
    }
    if (direct) return;
    const Acc* result = total.finish(blocks.count(), p.images * per_image, p.channels);
    for (int64_t image = 0; image < p.images; ++image) {
      const bool joined = per_image == p.rows * p.cols && pixels_join(to, p);
      const int64_t lines = joined ? 1 : p.rows, pixels = joined ? per_image : p.cols;
      for (int64_t y = 0; y < lines; ++y) {
        copy_block(result + (image * per_image + y * pitch) * row, row, 1, pixels, p.channels,
                   out + image * to.n + y * to.h, to.w, to.c);
      }
    }
  }

  // Output pixels in the lanes, rows of channels.
  void run_pixels(const CorrelationArgs<T>& args, const Portion& p, bool ready) const {
    const Correlation& c = args.sizes;
    const int64_t per_image = p.rows * p.cols, pixels = p.images * per_image;
    const int64_t width = p.channels <= kFewRows ? kWideCols<P> : kPanelCols<P>;
    const int64_t height = panel_rows(p.channels), row = round_up(pixels, kWideCols<P>);
    const Blocks blocks(c, kTileDepth, kTerms);
    TileSums<P> total{
        sums, row, totals,
        start_with_bias(args.bias == nullptr ? nullptr : args.bias + p.channel * args.bias_stride,
                        args.bias_stride, true, p.channels, bias)};
    T* out = out_at(args, p);
    const bool joined = pixels_join(args.out, p);
    bool direct = false;
    if constexpr (sizeof(T) == sizeof(Acc)) {
      direct = blocks.count() > 0 && blocks.count() <= kSpanBlocks && args.out.w == 1 && joined;
      if (direct) total.write_to(out, args.out.c, blocks.count());
    }
    int64_t before = 0;
    for (int64_t b = 0; b < blocks.count(); ++b) {
      const Block block = blocks[b];
      const int64_t depth = block.packed_depth(kTerms);
      const P* packed = block_weights(args, block, p, height, before, ready);
      before += depth;
      for (int64_t image = 0; image < p.images; ++image) {
        pack_patches(c, source_of(args, p.image + image), block, p.row, p.rows, p.col, p.cols,
                     image * per_image, width, source);
      }
      const int64_t packed_channels = depth / (block.rows * block.cols);
      fill_terms(block, packed_channels, height, row_table);
      fill_table(depth, width, col_table);
      total.add_block(b, p.channels, pixels, depth, {packed, depth, 1, row_table, height},
                      {source, depth, col_table, width});
    }
    if (direct) return;
    const Acc* result = total.finish(blocks.count(), p.channels, pixels);
    for (int64_t image = 0; image < p.images; ++image) {
      const int64_t lines = joined ? 1 : p.rows, length = joined ? per_image : p.cols;
      for (int64_t y = 0; y < lines; ++y) {
        copy_block(result + image * per_image + y * p.cols, 1, row, length, p.channels,
                   out + image * args.out.n + y * args.out.h, args.out.w, args.out.c);
      }
    }
  }

  void run(const CorrelationArgs<T>& args, int64_t number, int64_t tile, int64_t strip) {
    const Portion p = portion_at(args.sizes, plan, tile, strip);
    if (p.channels <= 0 || p.images <= 0 || p.rows <= 0 || p.cols <= 0) return;
    const bool ready = plan.keep_weights && *packed == number;
    if (plan.algorithm == Conv2dAlgorithm::kPixels) {
      run_pixels(args, p, ready);
    } else {
      run_channels(args, p, ready);
    }
    *packed = plan.keep_weights ? number : -1;
  }
};
