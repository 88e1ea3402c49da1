#include <algorithm>

#include "cpu/conv2d_plan.h"
#include "cpu/kernels.h"

namespace torchconv {
namespace {

/// Share of the peak that a panel of so few rows reaches.
double filled_rows(int64_t rows, const Machine& machine) {
  const int64_t panel = ceil_div(rows, ceil_div(rows, machine.lanes.gemm_rows));
  return std::min(1.0, 0.3 + 1.5 * panel / machine.lanes.gemm_rows);
}

}  // namespace

Conv2dWeightPlan plan_weight_gradient(const Conv2dShape& s, const Conv2dRequest& request,
                                      const Machine& machine) {
  constexpr int64_t kMostSums = int64_t(1) << 17, kMostPartial = int64_t(1) << 19;
  constexpr double kMostStrip = 1 << 18;
  constexpr int64_t kMostChunks = 16, kLeastTerms = 2048, kWorthSplitting = 16;
  const Correlation c = forward_correlation(s);
  const int64_t lanes = machine.columns(), taps = c.taps();
  Conv2dWeightPlan plan = plan_grouped_weight_gradient(s, request, machine);
  if (plan.algorithm == Conv2dAlgorithm::kGrouped) return plan;
  const double products = double(c.depth()) * c.out_channels * c.out_h * c.out_w;
  plan = plan_winograd_weight_gradient(s, request, machine, products / machine.terms);
  if (plan.algorithm != Conv2dAlgorithm::kAutomatic) return plan;
  plan = {};

  // Types that are multiplied in pairs, or larger groups, take those from different images.
  plan.block_cols = ceil_div(c.out_w, ceil_div(c.out_w, kTileDepth));
  plan.block_rows = 1;
  plan.block_images = machine.terms;
  if (plan.block_cols == c.out_w) {
    plan.block_rows = std::min(c.out_h, kTileDepth / c.out_w);
    plan.block_rows = ceil_div(c.out_h, ceil_div(c.out_h, plan.block_rows));
  }
  if (plan.block_rows == c.out_h && plan.block_cols == c.out_w) {
    plan.block_images = machine.terms * (kTileDepth / (c.out_h * c.out_w));
  }
  plan.block_images = std::min(c.batch, plan.block_images);

  const auto filled = [lanes](int64_t channels) {
    return static_cast<double>(channels) / round_up(channels, lanes);
  };
  const Conv2dAlgorithm wanted = request.algorithm;
  const bool faster = filled(c.out_channels) * filled_rows(s.kernel_w, machine) >
                      filled(c.channels) * filled_rows(c.out_channels, machine);
  // Such strips hold all rows and columns, also those between the steps of a stride.
  const double strip =
      double(c.channels) * plan.block_images *
      (double(plan.block_rows - 1) * s.stride_h + double(s.kernel_h) * s.dilation_h) *
      (double(plan.block_cols - 1) * s.stride_w + double(s.kernel_w));
  plan.output_channels_in_lanes = s.dilation_w == 1 && taps <= kTileDepth && strip <= kMostStrip &&
                                  wanted != Conv2dAlgorithm::kChannels &&
                                  (faster || wanted == Conv2dAlgorithm::kPixels);

  plan.algorithm =
      plan.output_channels_in_lanes ? Conv2dAlgorithm::kPixels : Conv2dAlgorithm::kChannels;

  plan.block_lines = (plan.block_images - 1) * c.out_h + plan.block_rows;
  plan.blocks = ceil_div(c.batch, plan.block_images) * ceil_div(c.out_h, plan.block_rows) *
                ceil_div(c.out_w, plan.block_cols);

  // Chunks, where the gradient is too small to be shared out in tiles.
  const int64_t size = s.out_channels * c.channels * taps;
  const int64_t natural =
      s.groups * ceil_div<int64_t>(c.out_channels, 32) * ceil_div<int64_t>(c.channels, 64);
  const int64_t terms = c.batch * c.out_h * c.out_w;
  plan.chunks =
      std::max<int64_t>(1, std::min({kMostChunks, ceil_div(kWorthSplitting, natural),
                                     kMostPartial / size, terms / kLeastTerms, plan.blocks}));
  plan.chunks = ceil_div(plan.blocks, ceil_div(plan.blocks, plan.chunks));

  // Tiles whose sums stay in the L2 cache.
  const int64_t panel = 4 * lanes, rows = machine.lanes.gemm_rows;
  const int64_t parts = s.groups * plan.chunks;
  int64_t most_in = c.channels, most_out = c.out_channels;
  while (taps * most_in * most_out > kMostSums && (most_in > panel || most_out > panel)) {
    (most_in >= most_out ? most_in : most_out) /= 2;
    most_in = std::max(most_in, std::min(c.channels, panel));
    most_out = std::max(most_out, std::min(c.out_channels, panel));
  }
  const int64_t in_parts = ceil_div(c.channels, most_in);
  const int64_t out_parts =
      share(c.out_channels, most_out, 2 * rows, in_parts * parts, machine.threads);
  plan.in_channel_tile = ceil_div(c.channels, in_parts);
  plan.out_channel_tile = ceil_div(c.out_channels, out_parts);
  if (plan.output_channels_in_lanes) {
    plan.out_channel_tile = std::min(c.out_channels, round_up(plan.out_channel_tile, lanes));
  } else {
    plan.in_channel_tile = std::min(c.channels, round_up(plan.in_channel_tile, 2 * lanes));
  }
  plan.in_channel_tiles = ceil_div(c.channels, plan.in_channel_tile);
  const int64_t per_tap = plan.output_channels_in_lanes
                              ? 1
                              : plan.out_channel_tile * round_up(plan.in_channel_tile, lanes);
  plan.tap_cols = std::min(c.w.count, std::max<int64_t>(1, 2 * kMostSums / per_tap));
  plan.tap_rows =
      std::min(c.h.count, std::max<int64_t>(1, 2 * kMostSums / per_tap / plan.tap_cols));
  plan.tiles = plan.in_channel_tiles * ceil_div(c.out_channels, plan.out_channel_tile) *
               ceil_div(c.h.count, plan.tap_rows) * ceil_div(c.w.count, plan.tap_cols);
  plan.items = parts * plan.tiles;
  plan.work = static_cast<double>(plan.in_channel_tile) * plan.out_channel_tile * plan.tap_rows *
              plan.tap_cols * terms / plan.chunks;

  const int64_t images = ceil_div(plan.block_images, machine.terms);
  const int64_t depth = images * plan.block_rows * plan.block_cols;
  plan.grad_elements = (round_up(plan.out_channel_tile, panel) + panel) * depth;
  if (plan.output_channels_in_lanes) {
    Correlation dense = c;
    dense.h.stride = dense.w.stride = 1;
    const StripLine h(dense.h, (plan.block_rows - 1) * s.stride_h + 1);
    const StripLine w(dense.w, (plan.block_cols - 1) * s.stride_w + 1);
    plan.strip_elements =
        plan.in_channel_tile * images * h.classes * w.classes * (h.size + 1) * w.size;
    plan.sum_row = round_up(plan.out_channel_tile, lanes);
    plan.sum_elements = plan.in_channel_tile * taps * plan.sum_row;
  } else {
    Correlation tile = c;
    tile.h.count = plan.tap_rows;
    tile.w.count = plan.tap_cols;
    const Block first = Blocks(tile, kTileDepth, 1)[0];
    TapLine taps_h = c.h, taps_w = c.w;
    taps_h.count = first.rows;
    taps_w.count = first.cols;
    const StripLine h(taps_h, plan.block_rows), w(taps_w, plan.block_cols);
    plan.strip_elements = images * h.classes * w.classes * (h.size + 1) * w.size * panel;
    plan.sum_row = round_up(plan.in_channel_tile, lanes);
    plan.sum_elements = plan.tap_rows * plan.tap_cols * plan.out_channel_tile * plan.sum_row;
  }
  plan.totals = ceil_div(plan.blocks, plan.chunks) > kSpanBlocks;
  const int64_t bytes = machine.accumulator_bytes;
  plan.scratch_bytes = 2 * cache_lines(kTileDepth * sizeof(int64_t)) +
                       cache_lines(plan.grad_elements * bytes) +
                       cache_lines(plan.strip_elements * bytes) +
                       (plan.totals ? 2 : 1) * cache_lines(plan.sum_elements * bytes);
  return plan;
}

}  // namespace torchconv
