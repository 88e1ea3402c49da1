#include "cuda/plans/product_plan.h"

#include <algorithm>

#include "cuda/plans/choice.h"
#include "shapes.h"

namespace torchconv::cuda {
namespace {

int64_t tiles(const ProductShape& s, TileSize tile) {
  const TileSizes sizes = sizes_of_tile(tile);
  return s.items * ceil_div(s.rows, sizes.rows) * ceil_div(s.columns, sizes.columns);
}

/// The tile that is expected to be done first; operands without vectors have but one. A processor
/// has two blocks at a time, and waits for its last one; what it does for one term of a tile grows
/// with the tile's area and, since smaller tiles are read more often, somewhat less for larger
/// ones.
TileSize choose_tile(const ProductShape& s, const ProductTraits& t, int64_t chunks) {
  if (!t.vectors) return TileSize::k128x64;
  const auto can = [&](TileSize tile) { return tile != TileSize::k128x128 || t.large; };
  const Choice& choice = tile_choice();
  if (choice.forced() && can(choice.as<TileSize>())) return choice.as<TileSize>();
  TileSize best = TileSize::k64x64;
  double least = 0;
  for (const TileSize tile : {TileSize::k128x128, TileSize::k128x64, TileSize::k64x64}) {
    if (!can(tile)) continue;
    const TileSizes sizes = sizes_of_tile(tile);
    const double rounds =
        static_cast<double>(ceil_div<int64_t>(tiles(s, tile) * chunks, 2 * t.processors));
    const double cost = rounds * static_cast<double>(sizes.rows * sizes.columns +
                                                     24 * (sizes.rows + sizes.columns));
    if (least == 0 || cost < least) {
      best = tile;
      least = cost;
    }
  }
  return best;
}

/// So many parts of equal length, which are whole tiles of terms.
ProductPlan in_chunks(const ProductShape& s, const ProductTraits& t, int64_t chunks) {
  const int64_t tile_terms = 64 / t.element_bytes;
  const int64_t length = ceil_div(ceil_div(std::max<int64_t>(s.terms, 1), chunks), tile_terms);
  ProductPlan plan{};
  plan.chunk_terms = length * tile_terms;
  plan.chunks = ceil_div(std::max<int64_t>(s.terms, 1), plan.chunk_terms);
  plan.tile = choose_tile(s, t, plan.chunks);
  return plan;
}

}  // namespace

ProductPlan plan_product(const ProductShape& s, const ProductTraits& t) {
  const int64_t most = terms_at_once(s.columns, t.most_terms);
  return in_chunks(s, t, ceil_div(std::max<int64_t>(s.terms, 1), most));
}

ProductPlan plan_long_product(const ProductShape& s, const ProductTraits& t) {
  constexpr int64_t kBlocks = 2 * 132, kLeastTerms = 512, kMostBytes = int64_t(64) << 20;
  const int64_t accumulator_bytes = t.element_bytes == 8 ? 8 : 4;
  const int64_t accurate = ceil_div(std::max<int64_t>(s.terms, 1), t.most_terms);
  const int64_t busy = ceil_div(kBlocks, std::max<int64_t>(tiles(s, TileSize::k64x64), 1));
  const int64_t worth = std::max<int64_t>(s.terms / kLeastTerms, 1);
  const int64_t fitting =
      kMostBytes / std::max<int64_t>(s.items * s.rows * s.columns * accumulator_bytes, 1);
  const int64_t wanted = std::min({busy, worth, std::max<int64_t>(fitting, 1)});
  return in_chunks(s, t, std::max(accurate, wanted));
}

}  // namespace torchconv::cuda
