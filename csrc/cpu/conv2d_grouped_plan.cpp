// Plans for few channels, in groups or alone: kernels/grouped.h.
#include <algorithm>

#include "cpu/conv2d_plan.h"
#include "cpu/kernels.h"

namespace torchconv {
namespace {

/// Elements of a strip and of its sums: half of an L2 cache together, and most of all channels.
constexpr int64_t kMostStrip = int64_t(1) << 16;
constexpr int64_t kMostWeights = int64_t(1) << 20;
/// Channels of a tensor that lie next to each other are copied so many at a time.
constexpr int64_t kChannelsTogether = 16;

/// Where it was measured to be faster than the algorithms that see one group at a time. More
/// channels fill their lanes, or make up for patches; one tap needs no patches.
int64_t few(const Machine& machine) { return std::min<int64_t>(8, machine.columns()); }
bool correlates_faster(const Correlation& c, int64_t groups, bool channels_last,
                       const Machine& machine) {
  if (c.taps() == 1 || machine.lanes.vector_bytes <= 16) return false;
  // Grey images, too, are one group of few channels.
  const int64_t most = groups == 1 && !channels_last ? 4 * few(machine) : few(machine);
  return (groups > 1 || c.channels == 1) && c.out_channels <= most;
}
bool sums_weights_faster(const Correlation& c, int64_t groups, const Machine& machine) {
  if (groups == 1) return c.channels == 1 && c.taps() > 1 && c.out_channels <= 4 * few(machine);
  return std::min(c.channels, c.out_channels) <= few(machine) &&
         std::max(c.channels, c.out_channels) <= 16;
}

}  // namespace

Conv2dPlan plan_grouped_correlation(const Correlation& c, int64_t groups, int64_t remainders,
                                    const Conv2dRequest& request, const Machine& machine) {
  Conv2dPlan plan{};
  const bool automatic = request.algorithm == Conv2dAlgorithm::kAutomatic;
  const bool channels_last = request.channels_last;
  if (!automatic && request.algorithm != Conv2dAlgorithm::kGrouped) return plan;
  if (automatic && !correlates_faster(c, groups, channels_last, machine)) return plan;
  if (c.depth() == 0 || c.out_channels == 0 || c.out_h == 0 || c.out_w == 0) return plan;
  if (c.taps() > kTileDepth || Blocks(c, kTileDepth, 1).count() > kSpanBlocks) return plan;

  const int64_t lanes = machine.columns();
  const int64_t fewest = std::min(c.channels, c.out_channels);
  plan.groups = channels_last ? std::min(groups, ceil_div(kChannelsTogether, fewest)) : 1;
  // The narrowest vectors have no instruction that spreads a lane found at run time.
  plan.channels_in_lanes = channels_last && (!automatic || machine.lanes.vector_bytes > 16) &&
                           c.channels == c.out_channels && lanes % c.channels == 0 &&
                           groups * c.channels % lanes == 0 && c.depth() <= kTileDepth;
  if (plan.channels_in_lanes) plan.groups = lanes / c.channels;
  const auto strip = [&](int64_t rows) {
    const StripLine h(c.h, rows), w(c.w, c.out_w);
    const double size = double(h.classes) * double(w.classes) * double(h.size + 1) * double(w.size);
    return size > double(kMostStrip)
               ? kMostStrip + 1
               : grouped_pitch(static_cast<int64_t>(size), lanes) * plan.groups * c.channels;
  };
  const auto sums = [&](int64_t rows) {
    const StripLine w(c.w, c.out_w);
    return grouped_pitch(rows * w.size, lanes) * plan.groups * c.out_channels;
  };
  int64_t parts = 1;
  const auto rows = [&] { return ceil_div(c.out_h, parts); };
  while (std::max(strip(rows()), sums(rows())) > kMostStrip) {
    if (rows() == 1) return plan;
    parts = std::min(c.out_h, 2 * parts);
  }
  plan.channel_tile = c.out_channels;
  plan.tiles = plan.strip_images = 1;
  plan.strip_rows =
      ceil_div(c.out_h, share(c.out_h, rows(), ceil_div<int64_t>(512, c.out_w),
                              c.batch * ceil_div(groups, plan.groups), machine.threads));
  plan.strip_cols = c.out_w;

  const int64_t height = ceil_div(
      c.out_channels, ceil_div(c.out_channels, machine.lanes.gemm_rows));  // of a panel of rows
  plan.weight_elements = plan.groups * c.depth() * round_up(c.out_channels, height);
  if (plan.weight_elements > kMostWeights) return plan;
  plan.algorithm = Conv2dAlgorithm::kGrouped;
  plan.keep_weights = true;
  plan.source_elements = strip(plan.strip_rows);
  plan.sum_elements = plan.channels_in_lanes ? 0 : sums(plan.strip_rows);
  plan.bias_elements = plan.groups * c.out_channels * 4 * lanes;
  const int64_t bytes = machine.accumulator_bytes;
  plan.scratch_bytes =
      kPackedBytes + 2 * cache_lines(kTileDepth * sizeof(int64_t)) +
      cache_lines(plan.weight_elements * bytes) + cache_lines(plan.source_elements * bytes) +
      cache_lines(plan.bias_elements * bytes) + cache_lines(plan.sum_elements * bytes);
  share_strips(c, groups, remainders, machine, &plan);
  return plan;
}

Conv2dWeightPlan plan_grouped_weight_gradient(const Conv2dShape& s, const Conv2dRequest& request,
                                              const Machine& machine) {
  /// Pixels of a block: enough to make up for adding up the lanes, few enough for the L1 cache.
  constexpr int64_t kBlockPixels = 1024, kMostChunks = 16, kLeastTerms = 2048, kEnoughItems = 64;
  constexpr int64_t kMostPartial = int64_t(1) << 19, kMostSums = int64_t(1) << 17;
  Conv2dWeightPlan plan{};
  const Correlation c = forward_correlation(s);
  const bool automatic = request.algorithm == Conv2dAlgorithm::kAutomatic;
  if (!automatic && request.algorithm != Conv2dAlgorithm::kGrouped) return plan;
  if (automatic && !sums_weights_faster(c, s.groups, machine)) return plan;
  if (c.taps() > kTileDepth) return plan;

  const int64_t lanes = machine.columns();
  const int64_t fewest = std::min(c.channels, c.out_channels);
  const int64_t groups =
      request.channels_last ? std::min(s.groups, ceil_div(kChannelsTogether, fewest)) : 1;
  // A lane of a block must not have more terms than any other sum.
  const int64_t most = std::min(kBlockPixels, kTileDepth * lanes / 2);
  plan.block_images = 1;
  plan.block_cols = c.out_w;
  int64_t parts = ceil_div(c.out_h, std::max<int64_t>(1, most / c.out_w));
  const auto strip = [&] {
    const StripLine h(c.h, plan.block_rows), w(c.w, plan.block_cols);
    const double size = double(h.classes) * double(w.classes) * double(h.size + 1) * double(w.size);
    return grouped_pitch(plan.block_images * static_cast<int64_t>(std::min(size, 1e9)), lanes) *
           groups * c.channels;
  };
  const auto pixels = [&] {
    return round_up(plan.block_rows * StripLine(c.w, plan.block_cols).size, lanes);
  };
  const auto grad = [&] {
    return grouped_pitch(plan.block_images * pixels(), lanes) * groups * c.out_channels;
  };
  for (;; parts = std::min(c.out_h, 2 * parts)) {
    plan.block_rows = ceil_div(c.out_h, parts);
    const bool fits = std::max(strip(), grad()) <= kMostStrip && pixels() <= kTileDepth * lanes;
    if (fits) break;
    if (plan.block_rows == 1) return plan;
  }
  if (plan.block_rows == c.out_h) {
    const auto fit = std::min(kMostStrip / strip(), kMostStrip / grad());
    plan.block_images = clamp(std::min(most / pixels(), fit), 1, c.batch);
  }
  plan.blocks = ceil_div(c.batch, plan.block_images) * ceil_div(c.out_h, plan.block_rows);
  plan.block_lines = (plan.block_images - 1) * c.out_h + plan.block_rows;

  const int64_t rows = 4, cols = std::max<int64_t>(1, machine.lanes.gemm_rows / 3);
  plan.sum_elements = groups * round_up(c.out_channels, rows) * round_up(c.depth(), cols);
  if (plan.sum_elements > kMostSums) return plan;
  plan.algorithm = Conv2dAlgorithm::kGrouped;
  plan.groups = groups;
  plan.out_channel_tile = groups * c.out_channels;
  const int64_t size = s.out_channels * c.depth(), terms = c.batch * c.out_h * c.out_w;
  const int64_t natural = ceil_div(s.groups, groups);
  plan.chunks =
      std::max<int64_t>(1, std::min({kMostChunks, ceil_div(kEnoughItems, natural),
                                     kMostPartial / size, terms / kLeastTerms, plan.blocks}));
  plan.chunks = ceil_div(plan.blocks, ceil_div(plan.blocks, plan.chunks));
  plan.items = natural * plan.chunks;
  plan.work = static_cast<double>(groups * c.out_channels) * c.depth() * terms / plan.chunks;
  plan.grad_elements = grad();
  plan.strip_elements = strip();
  plan.mask_elements = pixels();
  plan.totals = ceil_div(plan.blocks, plan.chunks) > kSpanBlocks;
  const int64_t bytes = machine.accumulator_bytes;
  plan.scratch_bytes = 2 * cache_lines(kTileDepth * sizeof(int64_t)) +
                       cache_lines(plan.grad_elements * bytes) +
                       cache_lines(plan.strip_elements * bytes) +
                       (plan.totals ? 2 : 1) * cache_lines(plan.sum_elements * bytes) +
                       cache_lines(round_up(c.depth(), cols) * sizeof(int64_t)) +
                       cache_lines(plan.mask_elements * bytes);
  return plan;
}

}  // namespace torchconv
