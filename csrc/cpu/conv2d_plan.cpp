#include "cpu/conv2d_plan.h"

#include <algorithm>

#include "cpu/kernels.h"

namespace torchconv {
namespace {

/// Pixels of a strip: enough to make up for packing weights, few enough for strip and sums to stay
/// in the L2 cache.
constexpr int64_t kStripPixels = 384;
constexpr int64_t kMostChannelTile = 256;
/// Packed weights are kept for many strips if they take no more than this.
constexpr int64_t kKeptWeights = int64_t(6) << 20;

/// Estimated time of an algorithm, in units of the multiplications if all lanes were filled.
double cost(const Correlation& c, Conv2dAlgorithm algorithm, bool channels_last,
            const Machine& machine) {
  // Cycles for an element, measured with AVX-512: copied along a row, with what beginning a row
  // costs; from row to row; across rows.
  constexpr double kCopy = 0.15, kBegin = 16, kStrided = 1, kTranspose = 0.4;
  const double lanes = machine.columns(), vectors = 2 * lanes;
  const double channels = c.out_channels, depth = std::max<int64_t>(c.depth(), 1);
  const bool joined = c.taps() == 1 && c.w.stride == 1;
  const double run = joined ? vectors : std::min<double>(c.out_w, vectors);
  const double copy = channels_last    ? kTranspose * std::max(run, lanes) / run + kBegin / run
                      : c.w.stride > 1 ? kStrided
                                       : kCopy + kBegin / run;
  if (algorithm == Conv2dAlgorithm::kPixels) {
    const int64_t pixels = std::min<int64_t>(c.batch * c.out_h * c.out_w, 4096);
    const double filled = static_cast<double>(pixels) / round_up(pixels, machine.columns());
    const double few = std::min(1.0, 0.5 + channels / machine.lanes.gemm_rows);
    return 1 / (filled * few) +
           (copy + (channels_last ? kTranspose : 0) / depth) * vectors / channels;
  }
  const double filled = channels / round_up(c.out_channels, machine.columns());
  const StripLine w(c.w, c.out_w);
  const double inside = rows_inside(c.h, 0, c.out_h, c.source_h);
  const double in_vain = takes_rows(false, c.out_w, machine.lanes.gemm_rows, inside)
                             ? inside
                             : static_cast<double>(w.size) / c.out_w;
  return in_vain / filled + copy * vectors / channels / c.taps() +
         (channels_last ? 0 : kTranspose) * vectors / depth;
}

}  // namespace

void share_strips(const Correlation& c, int64_t groups, int64_t remainders, const Machine& machine,
                  Conv2dPlan* plan) {
  plan->strips = ceil_div(c.batch, plan->strip_images) * ceil_div(c.out_h, plan->strip_rows) *
                 ceil_div(c.out_w, plan->strip_cols);
  const int64_t others = plan->tiles * ceil_div(groups, plan->groups);
  // Few strips in a run let threads share them evenly, many let them share packed weights.
  plan->run = 1;
  if (remainders > 1) {
    const int64_t runs = ceil_div(8 * machine.threads, others);
    plan->run = ceil_div(plan->strips, std::min(plan->strips, round_up(runs, machine.threads)));
  }
  plan->items = others * ceil_div(plan->strips, plan->run);
  const int64_t strip_pixels = plan->strip_images * plan->strip_rows * plan->strip_cols;
  plan->work =
      static_cast<double>(plan->groups * plan->channel_tile) * strip_pixels * c.depth() * plan->run;
}

Conv2dPlan plan_correlation(const Correlation& c, int64_t groups, int64_t remainders,
                            const Conv2dRequest& request, const Machine& machine) {
  const bool channels_last = request.channels_last;
  Conv2dPlan plan = plan_grouped_correlation(c, groups, remainders, request, machine);
  if (plan.algorithm == Conv2dAlgorithm::kGrouped) return plan;
  plan = {};
  plan.algorithm = request.algorithm;
  plan.groups = 1;
  const bool empty = c.depth() == 0 || c.out_h == 0 || c.out_w == 0;
  if (plan.algorithm != Conv2dAlgorithm::kChannels && plan.algorithm != Conv2dAlgorithm::kPixels) {
    const bool channels = !empty && cost(c, Conv2dAlgorithm::kChannels, channels_last, machine) <=
                                        cost(c, Conv2dAlgorithm::kPixels, channels_last, machine);
    plan.algorithm = channels ? Conv2dAlgorithm::kChannels : Conv2dAlgorithm::kPixels;
  }
  if (!empty) {
    // The batch must not enter, nor does the layout, in favour of equal bits.
    Correlation image = c;
    image.batch = 1;
    const double direct = std::min(cost(image, Conv2dAlgorithm::kChannels, true, machine),
                                   cost(image, Conv2dAlgorithm::kPixels, true, machine));
    const double products = double(c.depth()) * c.out_channels * c.out_h * c.out_w;
    const Conv2dPlan winograd = plan_winograd_correlation(c, groups, remainders, request, machine,
                                                          direct * products / machine.terms);
    if (winograd.algorithm != Conv2dAlgorithm::kAutomatic) return winograd;
  }
  // More taps than a block has terms would change the strip from block to block.
  if (c.taps() > kTileDepth || empty) plan.algorithm = Conv2dAlgorithm::kPixels;
  const bool pixels = plan.algorithm == Conv2dAlgorithm::kPixels;
  const int64_t panel = 4 * machine.columns(), bytes = machine.accumulator_bytes;

  const int64_t tiles = ceil_div(c.out_channels, kMostChannelTile);
  plan.channel_tile =
      std::min(c.out_channels, round_up(ceil_div(c.out_channels, tiles),
                                        pixels ? machine.lanes.gemm_rows : 2 * machine.columns()));
  plan.tiles = ceil_div(c.out_channels, plan.channel_tile);

  // Strips: whole images where they are small, else whole rows, else parts of a row.
  const int64_t image = std::max<int64_t>(1, c.out_h * c.out_w), others = plan.tiles * groups;
  plan.strip_images = 1;
  plan.strip_rows = std::max<int64_t>(c.out_h, 1);
  plan.strip_cols = std::max<int64_t>(c.out_w, 1);
  if (2 * image <= kStripPixels) {
    const int64_t most = std::max<int64_t>(1, kStripPixels / image);
    plan.strip_images = ceil_div(c.batch, share(c.batch, most, 1, others, machine.threads));
  } else if (c.out_w <= kStripPixels) {
    const int64_t most = std::max<int64_t>(1, kStripPixels / c.out_w);
    plan.strip_rows = ceil_div(c.out_h, share(c.out_h, most, ceil_div<int64_t>(64, c.out_w),
                                              others * c.batch, machine.threads));
  } else {
    plan.strip_rows = 1;
    plan.strip_cols = ceil_div(c.out_w, ceil_div(c.out_w, kStripPixels));
  }
  share_strips(c, groups, remainders, machine, &plan);
  const int64_t strip_pixels = plan.strip_images * plan.strip_rows * plan.strip_cols;

  const int64_t packed_channels = round_up(plan.channel_tile, pixels ? 1 : panel) + panel;
  const auto packed_depth = [&](const Correlation& some) {
    return ceil_div(some.channels, machine.terms) * some.taps();
  };
  plan.keep_weights = (plan.strips > 1 || request.keeps_weights) &&
                      packed_depth(c) * packed_channels * bytes <= kKeptWeights;
  // Correlations with a tap less per dimension have more channels in a block.
  for (int64_t fewer = 0; fewer < 4; ++fewer) {
    Correlation some = c;
    some.h.count -= fewer & 1;
    some.w.count -= fewer >> 1;
    if (fewer > 0 && (some.h.count < 1 || some.w.count < 1)) continue;
    const Blocks blocks(some, kTileDepth, machine.terms);
    const int64_t block_depth = std::min(kTileDepth, std::max<int64_t>(1, packed_depth(some)));
    int64_t source;
    if (pixels) {
      source = round_up(strip_pixels, panel) * block_depth;
      plan.sum_elements = plan.channel_tile * round_up(strip_pixels, panel);
    } else {
      const StripLine h(some.h, plan.strip_rows), w(some.w, plan.strip_cols);
      const int64_t plane = h.classes * w.classes * (h.size + 1) * w.size;
      const int64_t channels =
          blocks.count() == 0 ? 1 : ceil_div(blocks[0].channels, machine.terms);
      source = (round_up(plan.strip_images * plane, machine.columns()) + 2 * machine.columns()) *
               channels;
      plan.sum_elements =
          std::max(plan.sum_elements, plan.strip_images * plan.strip_rows * w.size *
                                          round_up(plan.channel_tile, machine.columns()));
    }
    plan.source_elements = std::max(plan.source_elements, source);
    plan.weight_elements =
        std::max(plan.weight_elements,
                 (plan.keep_weights ? packed_depth(some) : block_depth) * packed_channels);
    plan.totals = plan.totals || blocks.count() > kSpanBlocks;
  }
  plan.bias_elements = plan.channel_tile * (pixels ? panel : 1);
  plan.scratch_bytes = kPackedBytes + 2 * cache_lines(kTileDepth * sizeof(int64_t)) +
                       cache_lines(plan.weight_elements * bytes) +
                       cache_lines(plan.source_elements * bytes) +
                       cache_lines(plan.bias_elements * bytes) +
                       (plan.totals ? 2 : 1) * cache_lines(plan.sum_elements * bytes);
  return plan;
}

Conv2dPlan plan_forward(const Conv2dShape& s, const Conv2dRequest& request,
                        const Machine& machine) {
  return plan_correlation(forward_correlation(s), s.groups, 1, request, machine);
}

Conv2dPlan plan_backward_input(const Conv2dShape& s, const Conv2dRequest& request,
                               const Machine& machine) {
  const int64_t remainders = std::min(s.stride_h, s.in_h) * std::min(s.stride_w, s.in_w);
  Correlation largest = backward_correlation(s, 0, 0);
  if (remainders > 1) {
    largest.h = most_backward_taps(s.kernel_h, s.stride_h, s.dilation_h);
    largest.w = most_backward_taps(s.kernel_w, s.stride_w, s.dilation_w);
  }
  return plan_correlation(largest, s.groups, remainders, request, machine);
}

}  // namespace torchconv
