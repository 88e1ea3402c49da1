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

  TileSums<Acc> sums_at(int64_t matrix) const {
    const TileSums<Acc> total{sums, plan.sum_row, totals, {nullptr, 0, 0}};
    return total.at(matrix * winograd_rows(plan.out_channel_tile), 0);
  }

  int64_t last_tile(int64_t strip) const {
    return least((strip + 1) * plan.winograd.strip_tiles, sizes.batch * grid.per_image());
  }
  // Of all images, as RowsOnDemand counts them: the first row of a tile, and the one after its
  // last.
  int64_t first_row(int64_t tile) const {
    return tile / grid.per_image() * sizes.out_h + tile % grid.per_image() / grid.across * m;
  }
  int64_t last_row(int64_t tile) const {
    return least(first_row(tile) + m, (tile / grid.per_image() + 1) * sizes.out_h);
  }

  // Adds the tiles of a strip.
  void add(const WeightTile& t, int64_t strip) const {
    const int64_t first = strip * plan.winograd.strip_tiles, last = last_tile(strip);
    const int64_t tiles = last - first, rows = winograd_rows(tiles);
    const int64_t grad_row = winograd_row(t.out_channels, kLane);
    const int64_t row = winograd_row(t.channels, kLane);
    const int64_t channel = t.group * sizes.out_channels + t.out_channel;
    TileReader<T, typename F::OutGradient, m>{grid, 0, 0, lines}.read(
        args.grad_out(first_row(first), last_row(last - 1),
                      last_row(last_tile(t.blocks.last - 1) - 1), channel, t.out_channels),
        sizes.out_h, sizes.out_w, channel, t.out_channels, first, last, grad_out, grad_row,
        rows * grad_row);
    TileReader<T, typename F::In, m>{grid, sizes.h.first, sizes.w.first, lines}.read(
        args.conv.x, sizes.source_h, sizes.source_w, t.group * sizes.channels + t.channel,
        t.channels, first, last, input, row, rows * row);
    fill_table(tiles, grad_row, row_table);
    fill_table(tiles, row, col_table);
    for (int64_t i = 0; i < n * n; ++i) {
      sums_at(i).add_block(
          strip - t.blocks.first, t.out_channels, t.channels, tiles,
          {grad_out + i * rows * grad_row, 1, 1, row_table, panel_rows(t.out_channels)},
          {input + i * rows * row, 1, col_table, kPanelCols<Acc>});
    }
  }

  // The sums, transformed back: the r · r taps take the place of the first matrices.
  const Acc* finish(const WeightTile& t) const {
    const int64_t rows = winograd_rows(plan.out_channel_tile), row = plan.sum_row;
    Acc* result = sums_at(0).finish(t.blocks.last - t.blocks.first, n * n * rows, row);
    for (int64_t i = 0; i < t.out_channels; ++i) {
      for (int64_t j = 0; j < t.channels; j += kLane) {
        Acc* at = result + i * row + j;
        transform_square<typename F::WeightGradient, Acc>(at, n * rows * row, rows * row, nullptr,
                                                          at, r * rows * row, rows * row);
      }
    }
    return result;
  }

  template <class O>
  void store(const WeightTile& t, const View4<O>& out, const Acc* result) const {
    store_taps(out, r, r, t.out_channels, t.channels, result,
               winograd_rows(plan.out_channel_tile) * plan.sum_row, plan.sum_row);
  }
};
