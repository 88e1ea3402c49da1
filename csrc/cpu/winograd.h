// Sizes of Winograd's algorithm (kernels/winograd.h) that plans and kernels have to agree on.
// Included outside of the target regions; no torch headers.
#pragma once

#include "cpu/correlation.h"

namespace torchconv {

/// Tiles that are transformed together, at most; they follow each other in a row of an image.
constexpr int64_t kWinogradRun = 14;
/// Output channels whose transformed weights are multiplied together.
constexpr int64_t kWinogradChannels = 32;
/// Channels whose weights are packed to be transformed.
constexpr int64_t kWinogradTaps = 16;

/// Channels that are summed in registers: so many that reading and writing sums costs little, or
/// so few that F(2 x 2, 3 x 3), meant to be accurate, is as accurate as direct sums.
inline int64_t winograd_depth(int64_t channels, int64_t outputs) {
  const int64_t most = outputs == 2 ? 64 : 128;
  return ceil_div(channels, ceil_div(channels, most));
}

/// Distances in scratch: an odd number of vectors from one tile to the next, an odd number of tiles
/// from one matrix of tiles to the next, and half a panel more than needed from one matrix of
/// weights to the next. So elements that are read together do not compete for the same places of a
/// cache.
inline int64_t winograd_row(int64_t channels, int64_t lanes) {
  return (ceil_div(channels, lanes) | 1) * lanes;
}
inline int64_t winograd_rows(int64_t tiles) { return tiles | 1; }
inline int64_t winograd_weights(int64_t out_channels, int64_t channels, int64_t panel) {
  return round_up(out_channels, panel) * channels + panel / 2;
}

}  // namespace torchconv
