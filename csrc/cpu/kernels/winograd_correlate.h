// The sums of cpu/correlation.h by Winograd's algorithm, fused per strip of tiles: tiles of the
// source are transformed, multiplied with transformed weights, one matrix product for each of
// the n · n elements of a tile, and transformed back. None of it leaves the caches.

// Weights turned around, as those of the gradient of the input are, are read from the last tap on.
template <class T, int m, int r>
struct WinogradCorrelator {
  using Acc = Accumulator<T>;
  using F = Winograd<m, r>;
  static constexpr int n = F::n;
  static constexpr int64_t kLane = kLanes<Acc>, kPanel = kPanelCols<Acc>;

  const Conv2dPlan& plan;
  int64_t* packed;  // number of the group and tile of channels whose weights are kept
  int64_t* row_table;
  int64_t* col_table;
  Acc* taps;     // [channel][r * r][kPanel]
  Acc* weights;  // blocks of [n * n][out channels / kPanel][channel][kPanel]
  Acc* source;   // [n * n][tile][channel]
  Acc* bias;
  Acc* lines;  // rows of a run, for TileReader and TileWriter
  Acc* sums;   // [n * n][tile][out channel]
  Acc* totals;

  WinogradCorrelator(const Conv2dPlan& plan, void* memory) : plan(plan) {
    const WinogradPlan& w = plan.winograd;
    Scratch scratch{static_cast<char*>(memory)};
    packed = scratch.take<int64_t>(1);
    row_table = scratch.take<int64_t>(kTileDepth);
    col_table = scratch.take<int64_t>(kTileDepth);
    taps = scratch.take<Acc>(w.tap_elements);
    weights = scratch.take<Acc>(plan.weight_elements);
    source = scratch.take<Acc>(plan.source_elements);
    bias = scratch.take<Acc>(plan.bias_elements);
    lines = scratch.take<Acc>(w.line_elements);
    sums = scratch.take<Acc>(plan.sum_elements);
    totals = plan.totals ? scratch.take<Acc>(plan.sum_elements) : sums;
    fill_table(kTileDepth, 1, row_table);
    fill_table(kTileDepth, kPanel, col_table);
  }

  // The transformed weights of some channels.
  void transform_weights(const CorrelationArgs<T>& args, int64_t out_channel, int64_t out_channels,
                         int64_t channel, int64_t channels, Acc* out) const {
    const bool turned = args.sizes.h.step < 0;
    const int64_t pitch = winograd_weights(out_channels, channels, kPanel);
    for (int64_t k = 0; k < out_channels; k += kPanel) {
      Acc* panel = out + k * channels;
      const int64_t some = least(kPanel, out_channels - k);
      if constexpr (sizeof(T) == sizeof(Acc)) {
        if (args.weight_out == 1 && some == kPanel) {  // as they lie
          const Acc* first = args.weight + out_channel + k + channel * args.weight_in;
          for (int64_t i = 0; i < channels; ++i, first += args.weight_in) {
            for (int64_t tap = 0; tap < r * r; ++tap) {  // four channels ahead
              const Acc* soon =
                  first + 4 * args.weight_in + tap / r * args.weight_h + tap % r * args.weight_w;
              fetch(soon);
              fetch(soon + kLane);
            }
            transform_panel(first, args.weight_h, args.weight_w, turned, panel + i * kPanel, pitch);
          }
          continue;
        }
      }
      for (int64_t c = 0; c < channels; c += kWinogradTaps) {
        const int64_t here = least(kWinogradTaps, channels - c);
        Portion portion{};
        portion.channel = out_channel + k;
        portion.channels = some;
        pack_weights(args, {channel + c, here, 0, r, 0, r}, portion, kPanel, taps);
        const T* next = first_weight(args, {channel + c + here}, portion);
        for (int64_t i = 0; i < here; ++i) {
          if (c + 2 * here <= channels) fetch_weights(args, next, i);
          transform_panel(taps + i * r * r * kPanel, r * kPanel, kPanel, turned,
                          panel + (c + i) * kPanel, pitch);
        }
      }
    }
  }

  // The i-th part of the weights that are packed next, in pieces that lie in a row: far apart, they
  // are nothing that a processor would foresee.
  static void fetch_weights(const CorrelationArgs<T>& args, const T* first, int64_t i) {
    constexpr int64_t kParts = kPanel / kWinogradTaps, kLine = 64 / sizeof(T);
    const bool by_channel = args.weight_out == r * r;
    const bool joined = by_channel || args.weight_in == r * r;
    for (int64_t part = 0; part < kParts; ++part) {
      const T* row = by_channel ? first + i * args.weight_in + part * r * r * kLine
                                : first + (i * kParts + part) * args.weight_out;
      for (int64_t t = 0; t < r * r; ++t) {
        fetch(row + (joined ? t * kLine : t / r * args.weight_h + t % r * args.weight_w));
      }
    }
  }

  // Transforms the taps of one channel for a panel of output channels.
  static void transform_panel(const Acc* in, int64_t row, int64_t col, bool turned, Acc* out,
                              int64_t pitch) {
    if (turned) {
      in += (r - 1) * (row + col);
      row = -row;
      col = -col;
    }
    for (int64_t lane = 0; lane < kPanel; lane += kLane) {
      transform_square<typename F::Weight, Acc>(in + lane, row, col, nullptr, out + lane, n * pitch,
                                                pitch);
    }
  }

  // A tile of output channels for a strip of Winograd's tiles.
  void run(const CorrelationArgs<T>& args, int64_t number, int64_t tile, int64_t strip) {
    const Correlation& c = args.sizes;
    const WinogradPlan& w = plan.winograd;
    const TileGrid grid{ceil_div<int64_t>(c.out_h, m), ceil_div<int64_t>(c.out_w, m)};
    const int64_t first = strip * w.strip_tiles;
    const int64_t last = least(first + w.strip_tiles, c.batch * grid.per_image());
    const int64_t tiles = last - first, begin = tile * plan.channel_tile;
    const int64_t end = least(begin + plan.channel_tile, c.out_channels);
    const bool turned = c.h.step < 0;

    const int64_t source_row = winograd_row(c.channels, kLane);
    const int64_t source_pitch = winograd_rows(tiles) * source_row;
    TileReader<T, typename F::In, m>{grid, c.h.first - (turned ? r - 1 : 0),
                                     c.w.first - (turned ? r - 1 : 0), lines}
        .read(args.source, c.source_h, c.source_w, 0, c.channels, first, last, source, source_row,
              source_pitch);

    const bool ready = plan.keep_weights && *packed == number;
    const int64_t depth = winograd_depth(c.channels, m), blocks = ceil_div(c.channels, depth);
    Acc* u = weights;
    for (int64_t k = begin; k < end; k += kWinogradChannels) {
      const int64_t channels = least(kWinogradChannels, end - k);
      const int64_t row = winograd_row(channels, kLane), rows = winograd_rows(tiles);
      const TileSums<Acc> total{sums, row, totals, {nullptr, 0, 0}};
      for (int64_t block = 0; block < blocks; ++block) {
        const int64_t channel = block * depth, terms = least(depth, c.channels - channel);
        const int64_t pitch = winograd_weights(channels, terms, kPanel);
        if (!ready) transform_weights(args, k, channels, channel, terms, u);
        for (int64_t i = 0; i < n * n; ++i) {
          total.at(i * rows, 0)
              .add_block(block, tiles, round_up(channels, kLane), terms,
                         {source + i * source_pitch + channel, source_row, source_row, row_table,
                          panel_rows(tiles)},
                         {u + i * pitch, terms, col_table, kPanel});
        }
        if (plan.keep_weights) u += n * n * pitch;
      }
      const Acc* result = total.finish(blocks, n * n * rows, row);
      const Start<Acc> start =
          start_with_bias(args.bias == nullptr ? nullptr : args.bias + k * args.bias_stride,
                          args.bias_stride, false, channels, bias);
      const View4<T> out{args.out.data + k * args.out.c, args.out.n, args.out.c, args.out.h,
                         args.out.w};
      TileWriter<T, typename F::Out>{grid, lines}.write(result, row, rows * row, start.data, out,
                                                        c.out_h, c.out_w, channels, first, last);
    }
    *packed = plan.keep_weights ? number : -1;
  }
};
