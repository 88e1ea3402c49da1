// How a product on a Hopper GPU is cut: how wide tiles of its result are, and in how many parts its
// sum. No torch and no CUDA headers.
#pragma once

#include <cstdint>

namespace torchconv::cuda {

/// items: results, of so many rows each; row_tiles: what these are cut into; steps: of the sum,
/// each so many bytes of terms.
struct HopperShape {
  int64_t items, rows, row_tiles, columns, terms, steps;
  bool split = false;  // whether three products of parts make one of numbers
};

struct HopperCut {
  int columns;     // of a tile: 64, 128 or 256
  int64_t chunks;  // parts of the sum, which are added in order
};

/// The cut with which a GPU like an H200 is expected to be done first. It does not depend on the
/// device, so neither do results.
HopperCut cut_for_hopper(const HopperShape& shape);

}  // namespace torchconv::cuda
