// When Winograd's algorithm is taken, and in what portions.
#include <algorithm>

#include "cpu/conv2d_plan.h"
#include "cpu/kernels.h"

namespace torchconv {
namespace {

constexpr int64_t kMostStripBytes = int64_t(7) << 19;   // transformed tiles of images,
constexpr int64_t kNearStripBytes = int64_t(5) << 17;   // if weights are not transformed for each
constexpr int64_t kMostStripTiles = 50;                 // beyond which they only leave near caches
constexpr int64_t kKeptWeightBytes = int64_t(5) << 19;  // transformed weights, kept for all strips
constexpr int64_t kMostSumBytes = int64_t(5) << 19;     // transformed gradient of a weight,
constexpr int64_t kFewSumBytes = int64_t(5) << 17;      // if it has few terms
constexpr int64_t kFewTiles = 256;                      // of which a gradient has few terms
constexpr int64_t kMostTileChannels = 256;              // of a tile of that gradient
constexpr int64_t kEnoughItems = 8;                     // for threads to share out
constexpr int64_t kLeastTiles = 96;                     // that are worth a sum of their own
constexpr int64_t kFewChannels = 16;
constexpr int64_t kMostChannels = 2048;  // of which a strip of some tiles stays in a cache

/// Whether the sum is one that the algorithm can compute; a step of -1 is that of grad_out.
bool takes_winograd(const Correlation& c, int64_t remainders) {
  return remainders == 1 && c.channels <= kMostChannels && c.h.stride == 1 && c.w.stride == 1 &&
         (c.h.count == 3 || c.h.count == 5) && c.w.count == c.h.count && c.h.step == c.w.step &&
         (c.h.step == 1 || c.h.step == -1) && c.h.weight_step == 1 && c.w.weight_step == 1;
}

/// Estimated time of F(m, taps) for an image, in multiply-adds. To transform an element of a tile
/// or of a weight costs as much as so many.
double cost(const Correlation& c, int64_t m, const Machine& machine) {
  constexpr double kTileElement = 6, kWeightElement = 5;
  const double n = m + c.h.count - 1, tiles = ceil_div(c.out_h, m) * ceil_div(c.out_w, m);
  const double in = c.channels, out = round_up(c.out_channels, machine.columns());
  return n * n * (tiles * (in * out + kTileElement * (in + out)) + kWeightElement * in * out);
}

/// From the sizes of an image alone: neither batch, nor threads, nor the layout enter.
Conv2dAlgorithm choose(const Correlation& c, Conv2dAlgorithm wanted, const Machine& machine,
                       double direct) {
  constexpr Conv2dAlgorithm kNone = Conv2dAlgorithm::kAutomatic;
  constexpr Conv2dAlgorithm kTwo = Conv2dAlgorithm::kWinograd2, kFour = Conv2dAlgorithm::kWinograd4;
  constexpr double kWorthIt = 0.85;  // estimates are hardly better
  const bool five = c.h.count == 5;
  if (wanted == kTwo || wanted == kFour) return five ? kTwo : wanted;
  if (wanted != kNone || !allow_winograd() || (five && strict_accuracy())) return kNone;
  if (std::min(c.channels, c.out_channels) < kFewChannels) return kNone;
  const double two = cost(c, 2, machine), four = cost(c, 4, machine);
  const bool small = five || strict_accuracy() || two < four;
  if ((small ? two : four) > kWorthIt * direct) return kNone;
  return small ? kTwo : kFour;
}

}  // namespace

Conv2dPlan plan_winograd_correlation(const Correlation& c, int64_t groups, int64_t remainders,
                                     const Conv2dRequest& request, const Machine& machine,
                                     double direct) {
  Conv2dPlan plan{};
  if (!takes_winograd(c, remainders)) return plan;
  plan.algorithm = choose(c, request.algorithm, machine, direct);
  if (plan.algorithm == Conv2dAlgorithm::kAutomatic) return plan;
  const int64_t m = plan.algorithm == Conv2dAlgorithm::kWinograd4 ? 4 : 2;
  const int64_t n = m + c.h.count - 1, matrices = n * n;
  const int64_t lanes = machine.columns(), panel = 2 * lanes, bytes = machine.accumulator_bytes;
  const int64_t tiles = c.batch * ceil_div(c.out_h, m) * ceil_div(c.out_w, m);
  WinogradPlan& winograd = plan.winograd;
  winograd.outputs = m;
  plan.groups = plan.run = 1;

  // Transforming weights costs as much as multiplying some tiles, and transforming tiles as much
  // as multiplying some weights. So where weights are transformed for every strip, strips are as
  // long as caches allow, and output channels are shared out among threads rather than short
  // strips.
  const int64_t depth = winograd_depth(c.channels, m), blocks = ceil_div(c.channels, depth);
  const int64_t block = matrices * winograd_weights(kWinogradChannels, depth, panel);
  const auto all_blocks = [&](int64_t out_channels) {
    return block * blocks * ceil_div(out_channels, kWinogradChannels);
  };
  const bool few = all_blocks(c.out_channels) * bytes <= kKeptWeightBytes;
  const int64_t most_bytes = few ? kNearStripBytes : kMostStripBytes;
  const int64_t most_tiles =
      clamp(most_bytes / (matrices * bytes * c.channels), 24, kMostStripTiles);
  const int64_t strips = ceil_div(tiles, most_tiles);
  plan.tiles = share(c.out_channels, c.out_channels, 64, groups * strips, machine.threads);
  plan.channel_tile = round_up(ceil_div(c.out_channels, plan.tiles), kWinogradChannels);
  plan.tiles = ceil_div(c.out_channels, plan.channel_tile);
  plan.strips = share(tiles, most_tiles, 12, groups * plan.tiles, machine.threads);
  winograd.strip_tiles = ceil_div(tiles, plan.strips);
  plan.strips = ceil_div(tiles, winograd.strip_tiles);
  plan.items = groups * plan.tiles * plan.strips;
  plan.work = double(plan.channel_tile) * c.channels * matrices * winograd.strip_tiles;

  plan.keep_weights = few && (plan.strips > 1 || request.keeps_weights);
  plan.weight_elements = plan.keep_weights ? all_blocks(plan.channel_tile) : block;
  const int64_t rows = matrices * winograd_rows(winograd.strip_tiles);
  plan.source_elements = rows * winograd_row(c.channels, lanes);
  plan.sum_elements = rows * winograd_row(kWinogradChannels, lanes);
  plan.totals = blocks > kSpanBlocks;
  plan.bias_elements = round_up(kWinogradChannels, lanes);
  winograd.tap_elements = kWinogradTaps * c.taps() * panel;
  winograd.line_elements = n * ((kWinogradRun - 1) * m + n) * lanes;
  plan.scratch_bytes =
      kPackedBytes + 2 * cache_lines(kTileDepth * sizeof(int64_t)) +
      cache_lines(plan.weight_elements * bytes) + cache_lines(plan.source_elements * bytes) +
      cache_lines(plan.bias_elements * bytes) + cache_lines(winograd.tap_elements * bytes) +
      cache_lines(winograd.line_elements * bytes) +
      (plan.totals ? 2 : 1) * cache_lines(plan.sum_elements * bytes);
  return plan;
}

Conv2dWeightPlan plan_winograd_weight_gradient(const Conv2dShape& s, const Conv2dRequest& request,
                                               const Machine& machine, double direct) {
  Conv2dWeightPlan plan{};
  const Correlation c = forward_correlation(s);
  if (!takes_winograd(c, 1)) return plan;
  plan.algorithm = choose(c, request.algorithm, machine, direct);
  if (plan.algorithm == Conv2dAlgorithm::kAutomatic) return plan;
  const int64_t m = plan.algorithm == Conv2dAlgorithm::kWinograd4 ? 4 : 2;
  const int64_t n = m + c.h.count - 1, matrices = n * n;
  const int64_t lanes = machine.columns(), bytes = machine.accumulator_bytes;
  const int64_t tiles = c.batch * ceil_div(c.out_h, m) * ceil_div(c.out_w, m);
  plan.winograd.outputs = m;

  // Tiles of the gradient whose sums stay near, and strips of tiles of images beside them; strips
  // and chunks follow from the shape alone, for they order the sum.
  const int64_t most_sums = tiles < kFewTiles ? kFewSumBytes : kMostSumBytes;
  int64_t in_tile = std::min(c.channels, kMostTileChannels);
  int64_t out_tile = std::min(c.out_channels, kMostTileChannels);
  const auto sums = [&] { return matrices * bytes * winograd_row(in_tile, lanes) * out_tile; };
  while (sums() > most_sums && std::max(in_tile, out_tile) > 2 * lanes) {
    int64_t& larger = in_tile > out_tile ? in_tile : out_tile;
    larger = round_up(ceil_div<int64_t>(larger, 2), lanes);
  }
  const int64_t natural =
      s.groups * ceil_div(c.channels, in_tile) * ceil_div(c.out_channels, out_tile);
  plan.chunks =
      std::max<int64_t>(1, std::min(ceil_div(kEnoughItems, natural), tiles / kLeastTiles));
  const int64_t per_chunk = ceil_div(tiles, plan.chunks);
  const int64_t most_tiles =
      clamp(kMostStripBytes / (matrices * bytes * (in_tile + out_tile)), 24, kMostStripTiles);
  plan.winograd.strip_tiles = ceil_div(per_chunk, ceil_div(per_chunk, most_tiles));
  plan.blocks = ceil_div(tiles, plan.winograd.strip_tiles);
  plan.block_lines = m * (ceil_div(plan.winograd.strip_tiles - 1, ceil_div(c.out_w, m)) + 1);
  plan.chunks = ceil_div(plan.blocks, ceil_div(plan.blocks, plan.chunks));

  const int64_t in_parts = ceil_div(c.channels, in_tile);
  const int64_t out_parts =
      share(c.out_channels, out_tile, lanes, s.groups * in_parts * plan.chunks, machine.threads);
  plan.in_channel_tile = std::min(c.channels, round_up(ceil_div(c.channels, in_parts), lanes));
  plan.out_channel_tile =
      std::min(c.out_channels, round_up(ceil_div(c.out_channels, out_parts), lanes));
  plan.in_channel_tiles = ceil_div(c.channels, plan.in_channel_tile);
  plan.tap_rows = c.h.count;
  plan.tap_cols = c.w.count;
  plan.tiles = plan.in_channel_tiles * ceil_div(c.out_channels, plan.out_channel_tile);
  plan.items = s.groups * plan.chunks * plan.tiles;
  plan.work = double(plan.in_channel_tile) * plan.out_channel_tile * matrices * tiles / plan.chunks;

  const int64_t rows = matrices * winograd_rows(plan.winograd.strip_tiles);
  plan.grad_elements = rows * winograd_row(plan.out_channel_tile, lanes);
  plan.strip_elements = rows * winograd_row(plan.in_channel_tile, lanes);
  plan.sum_row = winograd_row(plan.in_channel_tile, lanes);
  plan.sum_elements = matrices * winograd_rows(plan.out_channel_tile) * plan.sum_row;
  plan.winograd.line_elements = n * ((kWinogradRun - 1) * m + n) * lanes;
  plan.totals = ceil_div(plan.blocks, plan.chunks) > kSpanBlocks;
  plan.scratch_bytes =
      2 * cache_lines(kTileDepth * sizeof(int64_t)) + cache_lines(plan.grad_elements * bytes) +
      cache_lines(plan.strip_elements * bytes) + cache_lines(plan.winograd.line_elements * bytes) +
      (plan.totals ? 2 : 1) * cache_lines(plan.sum_elements * bytes);
  return plan;
}

}  // namespace torchconv
