// The gradient of the weight by Winograd's algorithm: tiles of the input and of grad_out are
// transformed, and each element of a tile is a matrix product whose terms are the tiles. Only the
// sums are transformed back.

template <class T, int m, int r>
struct WinogradWeightGradient {
  using Acc = Accumulator<T>;
  using F = Winograd<m, r>;
  static constexpr int n = F::n;
  static constexpr int64_t kLane = kLanes<Acc>;

  const Conv2dBackwardWeightArgs<T>& args;
  const Conv2dWeightPlan& plan;
  Correlation sizes;
  TileGrid grid;
  int64_t* row_table;
  int64_t* col_table;
  Acc* grad_out;  // [n * n][tile][out channel]
  Acc* input;     // [n * n][tile][in channel]
  Acc* lines;     // rows of a run, for TileReader
  Acc* sums;      // [n * n][out channel][in channel]
  Acc* totals;

  WinogradWeightGradient(const Conv2dBackwardWeightArgs<T>& args, const Conv2dWeightPlan& plan,
                         void* memory)
      : args(args),
        plan(plan),
        sizes(forward_correlation(args.conv.shape)),
        grid{ceil_div<int64_t>(sizes.out_h, m), ceil_div<int64_t>(sizes.out_w, m)} {
    Scratch scratch{static_cast<char*>(memory)};
    row_table = scratch.take<int64_t>(kTileDepth);
    col_table = scratch.take<int64_t>(kTileDepth);
    grad_out = scratch.take<Acc>(plan.grad_elements);
    input = scratch.take<Acc>(plan.strip_elements);
    lines = scratch.take<Acc>(plan.winograd.line_elements);
    sums = scratch.take<Acc>(plan.sum_elements);
    totals = plan.totals ? scratch.take<Acc>(plan.sum_elements) : sums;
  }

  // Adds the tiles of a strip.
  void add(int64_t group, int64_t strip, int64_t number, int64_t out_channel, int64_t out_channels,
           int64_t channel, int64_t channels) const {
    const int64_t first = strip * plan.winograd.strip_tiles;
    const int64_t last = least(first + plan.winograd.strip_tiles, sizes.batch * grid.per_image());
    const int64_t tiles = last - first, rows = winograd_rows(tiles);
    const int64_t grad_row = winograd_row(out_channels, kLane);
    const int64_t row = winograd_row(channels, kLane);
    TileReader<T, typename F::OutGradient, m>{grid, 0, 0, lines}.read(
        args.conv.out, sizes.out_h, sizes.out_w, group * sizes.out_channels + out_channel,
        out_channels, first, last, grad_out, grad_row, rows * grad_row);
    TileReader<T, typename F::In, m>{grid, sizes.h.first, sizes.w.first, lines}.read(
        args.conv.x, sizes.source_h, sizes.source_w, group * sizes.channels + channel, channels,
        first, last, input, row, rows * row);
    fill_table(tiles, grad_row, row_table);
    fill_table(tiles, row, col_table);
    const TileSums<Acc> total{sums, plan.sum_row, totals, {nullptr, 0, 0}};
    for (int64_t i = 0; i < n * n; ++i) {
      total.at(i * winograd_rows(plan.out_channel_tile), 0)
          .add_block(number, out_channels, channels, tiles,
                     {grad_out + i * rows * grad_row, 1, 1, row_table, panel_rows(out_channels)},
                     {input + i * rows * row, 1, col_table, kPanelCols<Acc>});
    }
  }

  // One item: a tile of the gradient, summed over one chunk of the strips.
  void run(int64_t group, int64_t chunk, int64_t number) const {
    const int64_t k = number / plan.in_channel_tiles * plan.out_channel_tile;
    const int64_t c = number % plan.in_channel_tiles * plan.in_channel_tile;
    const int64_t out_channels = least(plan.out_channel_tile, sizes.out_channels - k);
    const int64_t channels = least(plan.in_channel_tile, sizes.channels - c);
    const int64_t per_chunk = ceil_div(plan.blocks, args.chunks);
    const int64_t first = least(chunk * per_chunk, plan.blocks);
    const int64_t last = least(first + per_chunk, plan.blocks);
    for (int64_t strip = first; strip < last; ++strip) {
      add(group, strip, strip - first, k, out_channels, c, channels);
    }
    const int64_t rows = winograd_rows(plan.out_channel_tile), row = plan.sum_row;
    const TileSums<Acc> total{sums, row, totals, {nullptr, 0, 0}};
    Acc* result = total.finish(last - first, n * n * rows, row);
    // The r · r taps take the place of the first matrices.
    for (int64_t i = 0; i < out_channels; ++i) {
      for (int64_t j = 0; j < channels; j += kLane) {
        Acc* at = result + i * row + j;
        transform_square<typename F::WeightGradient, Acc>(at, n * rows * row, rows * row, nullptr,
                                                          at, r * rows * row, rows * row);
      }
    }
    const int64_t from = group * sizes.out_channels + k;
    if (args.partial == nullptr) {
      store_taps(gradient_at(args, from, c, 0, 0), r, r, out_channels, channels, result, rows * row,
                 row);
    } else {
      store_taps(partial_at(args, chunk, from, c, 0, 0), r, r, out_channels, channels, result,
                 rows * row, row);
    }
  }
};
