#include "cuda/plans/hopper_plan.h"

#include <algorithm>

#include "cuda/kinds.h"
#include "shapes.h"

namespace torchconv::cuda {
namespace {

constexpr int64_t kProcessors = 132;

/// What a tile of so many columns takes, in microseconds: for a step of the sum, with one block on
/// a processor and with two, and for the rest, which is mostly to write the result. Fitted to times
/// of products on an H200.
struct TileTimes {
  int columns, at_once;
  double step, step_of_two, rest;
};
constexpr TileTimes kTileTimes[] = {
    {256, 1, 0.66, 0.66, 4.0}, {128, 1, 0.38, 0.38, 1.9}, {64, 2, 0.35, 0.5, 1.2}};
constexpr TileTimes kSplitTimes[] = {{128, 1, 1.2, 1.2, 1.3}, {64, 1, 0.75, 0.75, 1.0}};

double time_of(const HopperShape& s, const TileTimes& tile, int64_t chunks) {
  constexpr double kLaunch = 3, kBytesInMicrosecond = 2.5e6;
  const int64_t blocks =
      s.items * s.row_tiles * ceil_div<int64_t>(s.columns, tile.columns) * chunks;
  const double step = blocks > kProcessors ? tile.step_of_two : tile.step;
  const auto rounds = static_cast<double>(ceil_div<int64_t>(blocks, tile.at_once * kProcessors));
  const auto steps = static_cast<double>(ceil_div(s.steps, chunks));
  const double product = kLaunch + rounds * (steps * step + tile.rest);
  if (chunks == 1) return product;
  const auto sums =
      static_cast<double>(chunks * s.items * s.rows * s.columns);  // written, and read
  return product + kLaunch + 2 * 4 * sums / kBytesInMicrosecond;
}

}  // namespace

HopperCut cut_for_hopper(const HopperShape& s) {
  constexpr int64_t kLeastSteps = 4, kMostChunks = 256, kMostBytes = int64_t(64) << 20;
  const int64_t least = std::max<int64_t>(ceil_div<int64_t>(s.terms, Tf32::kMostTerms), 1);
  const int64_t fitting = kMostBytes / std::max<int64_t>(4 * s.items * s.rows * s.columns, 1);
  const int64_t most = std::max(least, std::min({s.steps / kLeastSteps, fitting, kMostChunks}));
  HopperCut best{0, 1};
  double shortest = 0;
  const auto consider = [&](const TileTimes& tile) {
    for (int64_t chunks = least; chunks <= most; chunks += std::max<int64_t>(chunks / 16, 1)) {
      const double time = time_of(s, tile, chunks);
      if (best.columns != 0 && time >= shortest) continue;
      best = {tile.columns, chunks};
      shortest = time;
    }
  };
  if (s.split) {
    for (const TileTimes& tile : kSplitTimes) consider(tile);
  } else {
    for (const TileTimes& tile : kTileTimes) consider(tile);
  }
  best.chunks = ceil_div(s.steps, ceil_div(s.steps, best.chunks));  // of equal length
  return best;
}

}  // namespace torchconv::cuda
