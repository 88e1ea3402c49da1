// From the sums of a warp to memory: through shared memory, since a lane has sums of many rows, but
// a warp should store whole cache lines.
#pragma once

#include "cuda/math.cuh"
#include "cuda/product.h"
#include "cuda/runs.cuh"

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
  TORCHCONV_ANYWHERE ResultStage(char* shared, int warp)
      : sums_(reinterpret_cast<Sum*>(shared + warp * kBytes)) {}

  /// Adds the bias and writes to what lies as the result, whose type may be another.
  template <class O, class T>
  TORCHCONV_ANYWHERE void write(Warp& product, const WarpPlace& place, const ProductArgs<T>& args,
                                O* out, const Steps& batch) const {
#pragma unroll 1
    for (int block = 0; block < kBlocks; ++block) {
      sync_warp();
#pragma unroll
      for (int i = 0; i < kBlocks; ++i) {  // sums lie in registers, whose numbers are constants
        if (i == block) put(product, i, place.lane);
      }
      sync_warp();
      store(place, place.row + block * kRows, args, out, batch);
    }
  }

 private:
  using Sum = std::remove_reference_t<decltype(std::declval<Warp&>()[0])>;
  static constexpr int kPitch = kColumns + 4;  // so that a column's neighbours have other banks
  static constexpr bool fits(int rows) { return rows * kPitch * int(sizeof(Sum)) <= kBytes; }
  static constexpr int kBlocks = fits(kWarpRows) ? 1 : fits(kWarpRows / 2) ? 2 : 4;
  static constexpr int kRows = kWarpRows / kBlocks;
  static_assert(fits(kRows) && kRows % Warp::kStageRows == 0);

  Sum* sums_;

  TORCHCONV_ANYWHERE void put(Warp& product, int block, int lane) const {
#pragma unroll
    for (int i = 0; i < Warp::kSums / kBlocks; ++i) {
      const int sum = block * (Warp::kSums / kBlocks) + i;
      const int row = Warp::row(sum, lane) - block * kRows;
      sums_[row * kPitch + Warp::column(sum, lane)] = product[sum];
    }
  }

  /// Stores what is in shared memory, in runs of 16 bytes along the way that the result lies.
  template <class O, class T>
  TORCHCONV_ANYWHERE void store(const WarpPlace& place, int first_row, const ProductArgs<T>& args,
                                O* out, const Steps& batch) const {
    constexpr int kRun = 16 / sizeof(O), kUnits = kRows * kColumns / kRun;
    const bool along_rows = args.out_along_rows;
    const int rows = args.out_rows.extent(), columns = args.out_columns.extent();
    const T* const bias = args.bias == nullptr ? nullptr : args.bias + batch.bias;
#pragma unroll 1
    for (int unit = place.lane; unit < kUnits; unit += kWarp) {
      constexpr int kDown = kRows / kRun, kAcross = kColumns / kRun;  // runs of a column, of a row
      const int line = along_rows ? unit / kDown : unit / kAcross;
      const int along = (along_rows ? unit % kDown : unit % kAcross) * kRun;
      const int r = along_rows ? along : line, c = along_rows ? line : along;
      const int row = first_row + r, column = place.column + c;
      if (row >= rows || column >= columns) continue;
      const int left = along_rows ? rows - row : columns - column;
      const int count = left < kRun ? left : kRun;
      const int step = along_rows ? kPitch : 1;
      const auto value = [&](int i) {
        Sum sum = sums_[r * kPitch + c + i * step];
        if (bias != nullptr) sum += widen(bias[(column + (along_rows ? 0 : i)) * args.bias_step]);
        O rounded;
        narrow(Accumulator<O>(sum), &rounded);
        return rounded;
      };
      const auto offset = [&](int i) {
        return args.out_rows(row + (along_rows ? i : 0)).offset +
               args.out_columns(column + (along_rows ? 0 : i)).offset;
      };
      if (along_rows ? args.out_rows.run(row, count) : args.out_columns.run(column, count)) {
        O run[kRun];
#pragma unroll
        for (int i = 0; i < kRun; ++i) {
          if (i < count) run[i] = value(i);
        }
        store_run(out + offset(0), 1, count, run);
      } else {
#pragma unroll 1
        for (int i = 0; i < count; ++i) out[offset(i)] = value(i);
      }
    }
  }
};

}  // namespace torchconv::cuda
