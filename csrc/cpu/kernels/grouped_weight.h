// The gradient of the weight for groups of few channels: dot products of rows of pixels. Both
// grad_out and the input lie in strips, [channel][image][pixel], where grad_out has a pixel for
// each output of the input's StripLayout; those between its rows are zero, and the input that they
// meet is masked, so that an infinity there does no harm.

// Sums of a panel: output channels x (input channel, tap).
constexpr int kDotRows = 4, kDotCols = kGemmRows / 3;
constexpr int kDots = kDotRows * kDotCols;

template <class P>
struct DotPanel {
  const P* rows[kDotRows];
  const P* cols[kDotCols];
  const Bits<P>* mask;
  int64_t images, pixels;        // whole vectors
  int64_t row_image, col_image;  // from one image to the next
};

// The first lanes of all: v[i] = Σ of the lanes of vector i.
template <int kCount, class P>
inline void sum_lanes(Vec<P>* v) {
  if constexpr (kCount > 1) {
#pragma GCC unroll 16
    for (int i = 0; i < kCount; i += 2) {
      v[i / 2] = every_second<0, P>(v[i], v[i + 1]) + every_second<1, P>(v[i], v[i + 1]);
    }
    sum_lanes<kCount / 2, P>(v);
  }
}

// sums[kDotRows][kDotCols] of one block; added to those of the blocks before, unless it is the
// first.
template <class P>
[[gnu::noinline]] void add_dots(const DotPanel<P>& d, bool first, P* sums) {
  constexpr int kLane = kLanes<P>;
  Vec<P> dots[kDots] = {};
  for (int64_t image = 0; image < d.images; ++image) {
    const int64_t row = image * d.row_image, col = image * d.col_image;
    for (int64_t i = 0; i < d.pixels; i += kLane) {
      const Vec<Bits<P>> mask = load(d.mask + i);
      Vec<P> g[kDotRows];
#pragma GCC unroll 4
      for (int r = 0; r < kDotRows; ++r) g[r] = load(d.rows[r] + row + i);
#pragma GCC unroll 4
      for (int c = 0; c < kDotCols; ++c) {
        const Vec<P> x = (Vec<P>)((Vec<Bits<P>>)load(d.cols[c] + col + i) & mask);
#pragma GCC unroll 4
        for (int r = 0; r < kDotRows; ++r) dots[r * kDotCols + c] += g[r] * x;
      }
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < kDots; i += kLane) {
    sum_lanes<kLane, P>(dots + i);
    store(sums + i, first ? dots[i] : load(sums + i) + dots[i]);
  }
}

template <class T>
struct GroupedWeightGradient : WeightGradient<T, Accumulator<T>> {
  using P = Accumulator<T>;
  using Base = WeightGradient<T, Accumulator<T>>;
  using Base::args, Base::plan, Base::sizes;

  int64_t* offsets;  // [in channel][tap]
  Bits<P>* mask;

  GroupedWeightGradient(const Conv2dBackwardWeightArgs<T>& args, const Conv2dWeightPlan& plan,
                        void* memory)
      : Base(args, plan, memory) {
    Scratch rest{reinterpret_cast<char*>(this->totals)};
    rest.template take<P>(plan.sum_elements);
    offsets = rest.template take<int64_t>(panels_of_terms() * kDotCols);
    mask = rest.template take<Bits<P>>(plan.mask_elements);
  }

  int64_t panels_of_terms() const { return ceil_div<int64_t>(sizes.depth(), kDotCols); }
  int64_t panels_of_outs() const { return ceil_div<int64_t>(sizes.out_channels, kDotRows); }
  int64_t group_sums() const { return panels_of_outs() * panels_of_terms() * kDots; }

  void fill_offsets(const StripLayout& layout, int64_t channel_size) const {
    const int64_t depth = sizes.depth(), taps = sizes.taps();
    for (int64_t i = 0; i < panels_of_terms() * kDotCols; ++i) {
      const int64_t term = least(i, depth - 1), tap = term % taps;  // the last panel repeats one
      offsets[i] =
          term / taps * channel_size + layout.offset(tap / sizes.w.count, tap % sizes.w.count);
    }
  }

  // Both tables of zeros and ones: where grad_out has pixels, and what is masked elsewhere.
  void fill_grad_out(const Portion& p, const StripLayout& layout, int64_t first, int64_t channels,
                     int64_t image_size, int64_t channel_size) const {
    const View4<const T>& g = this->grad;
    fill_zero(this->grad_out, 1, channels * channel_size);
    fill_zero(mask, 1, image_size);
    for (int64_t y = 0; y < p.rows; ++y) {
      const int64_t at = y * layout.pitch;
      for (int64_t x = 0; x < p.cols; ++x) mask[at + x] = -1;
      for (int64_t image = 0; image < p.images; ++image) {
        copy_block(g.data + (p.image + image) * g.n + first * g.c + (p.row + y) * g.h + p.col * g.w,
                   g.w, g.c, p.cols, channels, this->grad_out + image * image_size + at, 1,
                   channel_size);
      }
    }
  }

  void add_block(int64_t group, int64_t groups, const Range& blocks, int64_t block) {
    const Portion p = this->pixels_at(block);
    this->find_grad(p, blocks, group * sizes.out_channels, groups * sizes.out_channels);
    const StripLayout layout(sizes, p.row, p.rows, p.col, p.cols, true);
    const int64_t image_size = round_up(layout.outputs(), kLanes<P>);
    const int64_t grad_channel = grouped_pitch(p.images * image_size, kLanes<P>);
    const int64_t channel_size = grouped_pitch(p.images * layout.size, kLanes<P>);
    for (int64_t image = 0; image < p.images; ++image) {
      layout.fill(this->input(group, p, image), 0, groups * sizes.channels,
                  this->strip + image * layout.size, channel_size);
    }
    fill_grad_out(p, layout, group * sizes.out_channels, groups * sizes.out_channels, image_size,
                  grad_channel);
    fill_offsets(layout, channel_size);
    const bool first = (block - blocks.first) % kSpanBlocks == 0;
    P* sums = this->sums;
    DotPanel<P> panel{{}, {}, mask, p.images, image_size, image_size, layout.size};
    for (int64_t i = 0; i < groups * panels_of_outs(); ++i) {
      const int64_t g = i / panels_of_outs(), k = i % panels_of_outs() * kDotRows;
      for (int64_t r = 0; r < kDotRows; ++r) {
        const int64_t channel = g * sizes.out_channels + least(k + r, sizes.out_channels - 1);
        panel.rows[r] = this->grad_out + channel * grad_channel;
      }
      const P* x = this->strip + g * sizes.channels * channel_size;
      for (int64_t t = 0; t < panels_of_terms(); ++t, sums += kDots) {
        for (int64_t c = 0; c < kDotCols; ++c) panel.cols[c] = x + offsets[t * kDotCols + c];
        add_dots<P>(panel, first, sums);
      }
    }
  }

  // out[k, c, taps] of a group as its panels hold them.
  template <class O>
  void store(const View4<O>& out, const P* sums) const {
    const int64_t taps = sizes.taps(), depth = sizes.depth();
    const bool ordered = out.w == 1 && out.h == sizes.w.count && out.c == taps;
    for (int64_t k = 0; k < sizes.out_channels; ++k) {
      const P* row = sums + k / kDotRows * panels_of_terms() * kDots + k % kDotRows * kDotCols;
      O* to = out.data + k * out.n;
      if (ordered) {
        for (int64_t i = 0; i < depth; i += kDotCols, row += kDots) {
          copy_run(row, to + i, least<int64_t>(kDotCols, depth - i));
        }
        continue;
      }
      for (int64_t t = 0; t < taps; ++t) {
        O* tap = to + t / sizes.w.count * out.h + t % sizes.w.count * out.w;
        for (int64_t i = t; i < depth; i += taps, tap += out.c) {
          copy_element(row[i / kDotCols * kDots + i % kDotCols], tap);
        }
      }
    }
  }

  // One item: the gradient of a few groups, summed over one chunk of the blocks.
  void run(int64_t group, int64_t groups, int64_t chunk) {
    const Range blocks = blocks_of_chunk(plan, args.chunks, chunk);
    const TileSums<P> total{this->sums, group_sums(), this->totals, {nullptr, 0, 0}};
    for (int64_t block = blocks.first; block < blocks.last; ++block) {
      const int64_t number = block - blocks.first;
      if (number > 0 && number % kSpanBlocks == 0) {
        total.add_span(number == kSpanBlocks, groups, group_sums());
      }
      add_block(group, groups, blocks, block);
    }
    const P* result = total.finish(blocks.last - blocks.first, groups, group_sums());
    for (int64_t i = 0; i < groups; ++i, result += group_sums()) {
      const int64_t channel = (group + i) * sizes.out_channels;
      if (args.partial == nullptr) {
        store(gradient_at(args, channel, 0, 0, 0), result);
      } else {
        store(partial_at(args, chunk, channel, 0, 0, 0), result);
      }
    }
  }
};

template <class T>
void grouped_backward_weight(const Conv2dBackwardWeightArgs<T>& args, const Conv2dWeightPlan& plan,
                             int64_t begin, int64_t end, void* scratch) {
  GroupedWeightGradient<T> gradient(args, plan, scratch);
  for (int64_t item = begin; item < end; ++item) {
    const int64_t group = item / args.chunks * plan.groups;
    gradient.run(group, least(plan.groups, args.conv.shape.groups - group), item % args.chunks);
  }
}
