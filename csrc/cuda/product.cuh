// The kernel of all products. A block computes one tile of the result; its four warps share out the
// tile's rows and columns, two by two. Tiles of the operands come to shared memory through a ring
// of three stages: while the warps multiply one, the next one is there, and the one after that is
// on its way. One barrier for each tile of terms keeps them apart:
//
//   wait for the own copies of stage t; barrier       all of stage t is there, and nobody reads
//   say where the terms of stage t + 3 lead to        stage t - 1 any more
//   begin to load stage t + 2, in the place of t - 1
//   multiply stage t
#pragma once

#include "cuda/product_result.cuh"

namespace torchconv::cuda {

/// Which tiles of the result there are, in the order of blocks: rows within bands of a few columns,
/// so that blocks that run at a time share tiles of both operands in the L2 cache.
class TileOrder {
 public:
  TileOrder(const ProductShape& s, TileSizes tile, int64_t chunks)
      : row_tiles_(std::max<int64_t>(ceil_div(s.rows, tile.rows), 1)),
        column_tiles_(std::max<int64_t>(ceil_div(s.columns, tile.columns), 1)),
        bands_(ceil_div(column_tiles_, kBand)),
        band_(ceil_div(column_tiles_, bands_)),
        items_(s.items),
        tiles_(chunks * s.items * bands_ * row_tiles_ * band_),
        by_band_(band_),
        by_row_(row_tiles_),
        by_bands_(bands_),
        by_item_(std::max<int64_t>(s.items, 1)) {}

  struct Tile {
    int64_t chunk, item, row, column;
    bool exists;
  };

  TORCHCONV_ANYWHERE int64_t tiles() const { return tiles_; }

  TORCHCONV_ANYWHERE Tile operator()(int64_t number) const {
    const int64_t in_band = by_band_.divide(&number), row = by_row_.divide(&number);
    const int64_t column = by_bands_.divide(&number) * band_ + in_band;
    const int64_t item = by_item_.divide(&number);
    return {number, item, row, column, column < column_tiles_};
  }

 private:
  static constexpr int64_t kBand = 8;

  int64_t row_tiles_, column_tiles_, bands_, band_, items_, tiles_;
  Divider<int64_t> by_band_, by_row_, by_bands_, by_item_;
};

/// rows and columns: of the result's tile. rows_along, columns_along: whether tiles of the operands
/// lie along the sum. elements: whether operands may be without vectors, which takes registers.
template <class Math, int rows, int columns, bool rows_along, bool columns_along, bool elements>
struct ProductKernel {
  using T = typename Math::Element;
  using Sum = typename Math::Sum;
  using RowTile = Tile<T, rows, rows_along>;
  using ColumnTile = Tile<T, columns, columns_along>;
  static constexpr int kWarpRows = rows / 2, kWarpColumns = columns / 2;
  using Warp = WarpProduct<Math, RowTile, ColumnTile, kWarpRows, kWarpColumns>;

  static constexpr int kThreads = 4 * kWarp, kStages = 3;
  static constexpr int kBlocksAtOnce = 2;
  static constexpr int kStageBytes = RowTile::kBytes + ColumnTile::kBytes;
  static constexpr int kTerms = RowTile::kTerms;
  static constexpr int kPlaces = kStages * kStageBytes;  // where places begin in shared memory
  static constexpr int kSharedBytes = kPlaces + 2 * 2 * kTerms * int(sizeof(Place));
  using Stage = ResultStage<Warp, kWarpRows, kWarpColumns, kPlaces / 4>;
  using RowLoader = Loader<T, RowTile, kThreads, elements>;
  using ColumnLoader = Loader<T, ColumnTile, kThreads, elements>;

  ProductArgs<T> args;
  TileOrder order;
  int32_t chunk_terms;
  int64_t chunk_step;  // from one part of a sum to the next; 0: args.out has the whole sum
  bool whole_runs;     // whether results, or parts of sums, come in aligned runs of 16 bytes

  TORCHCONV_ANYWHERE void operator()(const Block& block) const {
    for (int64_t number = block.number; number < order.tiles(); number += block.blocks) {
      const auto tile = order(number);
      if (tile.exists) compute(block, tile);
    }
  }

  TORCHCONV_ANYWHERE void compute(const Block& block, const TileOrder::Tile& tile) const {
    const Steps batch = steps_of(args.batch, tile.item);
    const int first_row = int(tile.row * rows), first_column = int(tile.column * columns);
    const int begin = int(tile.chunk) * chunk_terms, terms = args.rows.sum.extent();
    const int end = terms - begin < chunk_terms ? terms : begin + chunk_terms;
    RowLoader row_loader(args.rows, batch.rows, first_row, block.thread);
    ColumnLoader column_loader(args.columns, batch.columns, first_column, block.thread);
    Warp product;
#pragma unroll
    for (int i = 0; i < Warp::kSums; ++i) product[i] = 0;
    multiply_terms(block, row_loader, column_loader, begin, end, Place{}, &product);
    const WarpPlace place(block, first_row, first_column, kWarpRows, kWarpColumns);
    const Stage stage(block.shared, place.warp);
    if (std::is_same_v<T, Sum> || chunk_step == 0) {
      stage.write(product, place, args, args.out + tile.chunk * chunk_step + batch.out, batch,
                  whole_runs);
    } else {
      Sum* const partial = reinterpret_cast<Sum*>(args.out);
      stage.write(product, place, args, partial + tile.chunk * chunk_step + batch.out, batch,
                  whole_runs);
    }
    sync_block();  // the stages are free again
  }

  /// Adds the terms from `begin` to `end`, with the rows' places moved.
  TORCHCONV_ANYWHERE void multiply_terms(const Block& block, RowLoader& row_loader,
                                         ColumnLoader& column_loader, int begin, int end,
                                         const Place& moved, Warp* product) const {
    const int lane = lane_of(block.thread), warp = block.thread / kWarp;
    const int row = warp / 2 * kWarpRows, column = warp % 2 * kWarpColumns;
    const int tiles = end > begin ? (end - begin + kTerms - 1) / kTerms : 0;
    const auto stage = [&](int tile) { return block.shared + tile % kStages * kStageBytes; };
    const auto places = [&](int tile) {  // of the terms of the rows' operand, then the columns'
      return reinterpret_cast<Place*>(block.shared + kPlaces) + tile % 2 * 2 * kTerms;
    };
#pragma unroll 1
    for (int tile = -kStages; tile < tiles; ++tile) {
      if (tile >= 0) wait_copies<kStages - 2>();
      sync_block();
      const int next = tile + kStages - 1;
      if (next + 1 < tiles && block.thread < 2 * kTerms) {
        const bool is_row = block.thread < kTerms;
        const int term = begin + (next + 1) * kTerms + block.thread % kTerms;
        Place place{0, kOutside, kOutside};
        if (term < end) {
          place = is_row ? args.rows.sum(term) + moved : args.columns.sum(term);
        }
        places(next + 1)[block.thread] = place;
      }
      const bool fetches = next >= 0 && next < tiles;
      char* const to = fetches ? stage(next) : nullptr;
      if (fetches) {
        const int left = end - (begin + next * kTerms);
        row_loader.fetch(to, places(next), left);
        column_loader.fetch(to + RowTile::kBytes, places(next) + kTerms, left);
      }
      commit_copies();
      if (tile >= 0) {
        const char* const now = stage(tile);
        product->multiply(now, row, now + RowTile::kBytes, column, lane);
      }
      if (fetches) {
        row_loader.store(to);
        column_loader.store(to + RowTile::kBytes);
      }
    }
    wait_copies<0>();
    sync_block();
  }
};

}  // namespace torchconv::cuda
