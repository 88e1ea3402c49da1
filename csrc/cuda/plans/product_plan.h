// How a product is computed on a GPU: by which arithmetic, in which tiles, its sum in how many
// parts. No torch and no CUDA headers.
#pragma once

#include <cstdint>

namespace torchconv::cuda {

/// How float32 is multiplied.
enum class Float32Math { kTf32, kTf32x3, kFma };

/// What one block computes: so many rows and columns of the result.
enum class TileSize { k128x128, k128x64, k64x64 };

struct TileSizes {
  int64_t rows, columns;
};
constexpr TileSizes sizes_of_tile(TileSize tile) {
  return {tile == TileSize::k64x64 ? 64 : 128, tile == TileSize::k128x128 ? 128 : 64};
}

/// out[item, row, column], a sum of so many terms.
struct ProductShape {
  int64_t items, rows, columns, terms;
};

/// What is known of operands and device.
struct ProductTraits {
  int element_bytes;
  bool vectors;        // whether both operands are loaded by 16 bytes
  bool large;          // whether the arithmetic has tiles of 128 x 128
  int64_t most_terms;  // that may be added in one go
  int processors;
};

struct ProductPlan {
  TileSize tile;
  int64_t chunks;       // parts of the sum, which are added in order
  int64_t chunk_terms;  // of each but the last
};

/// How many terms of a sum are added in one go. Few columns make few tiles, and parts of a sum
/// little work.
constexpr int64_t terms_at_once(int64_t columns, int64_t most_terms) {
  constexpr int64_t kFewColumns = 256, kFewTerms = 4096;
  return columns <= kFewColumns && most_terms > kFewTerms ? kFewTerms : most_terms;
}

/// The tile by the device; the parts of the sum, on which bits depend, by its length and whether
/// there are few columns: neither by the device nor by the number of rows.
ProductPlan plan_product(const ProductShape& shape, const ProductTraits& traits);

/// The same for a sum over images, of which there are many for each result: its parts also keep
/// a large GPU busy.
ProductPlan plan_long_product(const ProductShape& shape, const ProductTraits& traits);

}  // namespace torchconv::cuda
