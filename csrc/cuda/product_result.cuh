// From the sums of a warp to memory: through shared memory, since a lane has sums of many rows, but
// a warp should store whole cache lines.
#pragma once

#include "cuda/math.cuh"
#include "cuda/product.h"
#include "cuda/staged_results.cuh"

namespace torchconv::cuda {

/// What the place of a matrix in its batch adds to the offsets.
struct Steps {
  int64_t rows = 0, columns = 0, out = 0, bias = 0;
};
TORCHCONV_ANYWHERE inline Steps steps_of(const Batch& batch, int64_t item) {
  if (batch.extents[0] * batch.extents[1] * batch.extents[2] == 1) return {};
  const int64_t third = item % batch.extents[2];
  item /= batch.extents[2];
  const int64_t digits[3] = {item / batch.extents[1], item % batch.extents[1], third};
  Steps steps;
#pragma unroll
  for (int i = 0; i < 3; ++i) {
    steps.rows += digits[i] * batch.rows[i];
    steps.columns += digits[i] * batch.columns[i];
    steps.out += digits[i] * batch.out[i];
    steps.bias += digits[i] * batch.bias[i];
  }
  return steps;
}

/// Where a warp's sums belong.
struct WarpPlace {
  int warp, lane, row, column;

  TORCHCONV_ANYWHERE WarpPlace(const Block& block, int first_row, int first_column, int rows,
                               int columns)
      : warp(block.thread / kWarp),
        lane(block.thread % kWarp),
        row(first_row + warp / 2 * rows),
        column(first_column + warp % 2 * columns) {}
};

/// A warp's own shared memory for some rows of its sums at a time, as many as there is room for.
template <class Warp, int kWarpRows, int kColumns, int kBytes>
class ResultStage {
 public:
  TORCHCONV_ANYWHERE ResultStage(char* shared, int warp) : shared_(shared + warp * kBytes) {}

  /// Adds the bias and writes to what lies as the result, whose type may be another. `whole`:
  /// whether it comes in aligned runs of 16 bytes.
  template <class O, class T>
  TORCHCONV_ANYWHERE void write(Warp& product, const WarpPlace& place, const ProductArgs<T>& args,
                                O* out, const Steps& batch, bool whole) const {
    constexpr int kRows = rows_at_once<O>(), kBlocks = kWarpRows / kRows;
    using Stage = StagedResults<O, Sum, kRows, kColumns>;
    static_assert(Stage::kBytes <= kBytes && kRows % Warp::kStageRows == 0);
    const Stage stage(shared_, args.out_along_rows, place.lane);
    const T* const bias = args.bias == nullptr ? nullptr : args.bias + batch.bias;
    sync_warp();
    stage.note_columns(
        [&](int i) {
          const int column = place.column + i;
          return column < args.out_columns.extent() ? args.out_columns(column).offset
                                                    : Stage::kNowhere;
        },
        [&](int i) {
          const int column = place.column + i;
          const bool there = bias != nullptr && column < args.out_columns.extent();
          return there ? Sum(widen(bias[column * args.bias_step])) : Stage::kNoBias;
        });
#pragma unroll 1
    for (int block = 0; block < kBlocks; ++block) {
      stage.note_rows([&](int i) {
        const int row = place.row + block * kRows + i;
        return row < args.out_rows.extent() ? args.out_rows(row).offset : Stage::kNowhere;
      });
      sync_warp();
#pragma unroll
      for (int i = 0; i < kBlocks; ++i) {  // sums lie in registers, whose numbers are constants
        if (i == block) put<kBlocks>(product, stage, i, place.lane);
      }
      sync_warp();
      stage.store(out, whole);
      sync_warp();
    }
  }

 private:
  using Sum = std::remove_reference_t<decltype(std::declval<Warp&>()[0])>;

  template <class O>
  static constexpr int rows_at_once() {
    if (StagedResults<O, Sum, kWarpRows, kColumns>::kBytes <= kBytes) return kWarpRows;
    if (StagedResults<O, Sum, kWarpRows / 2, kColumns>::kBytes <= kBytes) return kWarpRows / 2;
    return kWarpRows / 4;
  }

  char* shared_;

  template <int blocks, class Stage>
  TORCHCONV_ANYWHERE void put(Warp& product, const Stage& stage, int block, int lane) const {
    constexpr int kSums = Warp::kSums / blocks;
    stage.put([&](const auto& put_one, const auto& put_two) {
#pragma unroll
      for (int i = 0; i < kSums; i += Warp::kPairs ? 2 : 1) {
        const int sum = block * kSums + i;
        const int row = Warp::row(sum, lane) - block * (kWarpRows / blocks);
        if constexpr (Warp::kPairs) {
          put_two(row, Warp::column(sum, lane), product[sum], product[sum + 1]);
        } else {
          put_one(row, Warp::column(sum, lane), product[sum]);
        }
      }
    });
  }
};

}  // namespace torchconv::cuda
