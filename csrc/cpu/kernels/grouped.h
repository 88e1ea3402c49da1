// The sums of cpu/correlation.h for groups of few channels: output pixels in the lanes, multiplied
// where they lie in a strip of the source. Patches would be nine copies of it for 3x3 taps, more
// work than the few products that use them. Pixels between the rows of a strip are computed in vain
// and not copied to the result.
//
// Several groups share a strip where channels follow each other in memory, because few of them are
// a small part of every cache line.
template <class T>
struct GroupedCorrelator : Correlator<T, Accumulator<T>> {
  using P = Accumulator<T>;
  using Base = Correlator<T, Accumulator<T>>;

  GroupedCorrelator(const Conv2dPlan& plan, void* memory) : Base(plan, memory) {}

  // Packed weights of a block of terms take depth · packed_rows elements.
  static int64_t packed_rows(int64_t channels) { return round_up(channels, panel_rows(channels)); }

  void pack(const CorrelationArgs<T>& args, const Blocks& blocks, const Portion& p) const {
    CorrelationArgs<T> one = args;
    P* place = this->weights;
    for (int64_t group = 0; group < args.groups; ++group) {
      for (int64_t b = 0; b < blocks.count(); ++b) {
        const Block block = blocks[b];
        pack_weights(one, block, p, panel_rows(p.channels), place);
        place += block.depth() * packed_rows(p.channels);
      }
      one.weight += args.weight_group;
    }
  }

  // table[k] = place in the strip of term k of a block
  void fill_offsets(const StripLayout& layout, const Block& block, int64_t channel_size) const {
    int64_t* at = this->col_table;
    for (int64_t h = 0; h < block.rows; ++h) {  // as fill_terms
      for (int64_t channel = 0; channel < block.channels; ++channel) {
        for (int64_t w = 0; w < block.cols; ++w) {
          *at++ = (block.channel + channel) * channel_size +
                  layout.offset(block.row + h, block.col + w);
        }
      }
    }
  }

  // sums[channel of all groups][outputs of the strip]
  void multiply_strip(const CorrelationArgs<T>& args, const Blocks& blocks, const Portion& p,
                      const StripLayout& layout, int64_t channel_size, const Start<P>& bias,
                      int64_t row) const {
    const int64_t height = panel_rows(p.channels);
    const int64_t width = height <= kFewRows ? kWideCols<P> : kPanelCols<P>;
    for (int64_t b = 0; b < blocks.count(); ++b) {
      const Block block = blocks[b];
      const int64_t depth = block.depth(), first = block.channel * args.sizes.taps();
      fill_offsets(layout, block, channel_size);
      fill_terms(block, block.channels, height, this->row_table);
      for (int64_t group = 0; group < args.groups; ++group) {
        const P* packed =
            this->weights + (group * args.sizes.depth() + first) * packed_rows(p.channels);
        const P* strip = this->source + group * args.sizes.channels * channel_size;
        const TileSums<P> total{this->sums, row, this->totals, bias};
        total.at(group * p.channels, 0)
            .add_block(b, p.channels, layout.outputs(), depth,
                       {packed, depth, 1, this->row_table, height},
                       {strip, 1, this->col_table, width});
      }
    }
  }

  void run(const CorrelationArgs<T>& args, int64_t number, int64_t tile, int64_t number_of_strip) {
    const Correlation& c = args.sizes;
    const Portion p = portion_at(c, this->plan, tile, number_of_strip);
    if (p.channels <= 0 || p.images <= 0 || p.rows <= 0 || p.cols <= 0) return;
    const Blocks blocks(c, kTileDepth, 1);
    if (!this->plan.keep_weights || *this->packed != number) pack(args, blocks, p);
    *this->packed = number;
    const StripLayout layout(c, p.row, p.rows, p.col, p.cols, true);
    const int64_t channels = args.groups * p.channels;
    const int64_t channel_size = grouped_pitch(layout.size, kLanes<P>);
    const int64_t row = grouped_pitch(layout.outputs(), kLanes<P>);
    const Start<P> bias = start_with_bias(args.bias, args.bias_stride, true, channels, this->bias);
    for (int64_t image = 0; image < p.images; ++image) {
      layout.fill(this->source_of(args, p.image + image), 0, args.groups * c.channels, this->source,
                  channel_size);
      multiply_strip(args, blocks, p, layout, channel_size, bias, row);
      T* out = this->out_at(args, p) + image * args.out.n;
      for (int64_t y = 0; y < p.rows; ++y) {
        copy_block(this->sums + y * layout.pitch, 1, row, p.cols, channels, out + y * args.out.h,
                   args.out.w, args.out.c);
      }
    }
  }
};
