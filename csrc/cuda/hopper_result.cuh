// From the sums of a warpgroup to memory. Each warp has 16 rows; it brings 128 bytes of columns at
// a time through shared memory of its own, so that it stores whole runs along the way that the
// result lies.
#pragma once

#include "cuda/hopper_places.h"
#include "cuda/product_result.cuh"
#include "cuda/staged_results.cuh"

namespace torchconv::cuda {

/// The sums of one lane, as a product of 64 x columns leaves them.
template <int columns>
struct GroupSums {
  static constexpr int kSums = columns / 2;
  float sums[kSums];

  TORCHCONV_ANYWHERE static int row(int i, int lane) { return lane / 4 + i / 2 % 2 * 8; }
  TORCHCONV_ANYWHERE static int column(int i, int lane) { return i / 4 * 8 + lane % 4 * 2 + i % 2; }
};

/// What one warp writes: 16 rows of a tile, from its own shared memory.
template <class T, int columns>
class HopperWriter {
 public:
  using Sums = GroupSums<columns>;
  static constexpr int kRows = 16, kColumns = 128 / int(sizeof(T));
  using Stage = StagedResults<T, float, kRows, kColumns>;
  static constexpr int kBytes = Stage::kBytes;

  TORCHCONV_ANYWHERE HopperWriter(const ProductArgs<T>& args, const ResultRows& rows, int tile,
                                  int row, int column, int lane, char* shared)
      : args_(args),
        rows_(rows),
        tile_(tile),
        row_(row),
        column_(column),
        lane_(lane),
        stage_(shared, args.out_along_rows, lane) {}

  /// Adds the bias and writes the result.
  TORCHCONV_ANYWHERE void write(const Sums& product, T* out) const {
    const bool biased = args_.bias != nullptr;
    stage_.note_rows([&](int i) {
      const int32_t number = row_number(i);
      return number < 0 ? Stage::kNowhere : args_.out_rows(number).offset;
    });
#pragma unroll 1
    for (int piece = 0; piece < kPieces; ++piece) {
      const int first = column_ + piece * kColumns, all = args_.out_columns.extent();
      stage_.note_columns(
          [&](int i) {
            return first + i < all ? args_.out_columns(first + i).offset : Stage::kNowhere;
          },
          [&](int i) {
            const bool there = biased && first + i < all;
            return there ? widen(args_.bias[(first + i) * args_.bias_step]) : Stage::kNoBias;
          });
      sync_warp();
#pragma unroll
      for (int p = 0; p < kPieces; ++p) {  // registers have no numbers at run time
        if (p == piece) put(product, p);
      }
      sync_warp();
      stage_.store(out, rows_.whole_runs);
      sync_warp();
    }
  }

  /// Writes parts of sums, which lie densely, at once.
  TORCHCONV_ANYWHERE void write_part(const Sums& product, float* out) const {
    const int all_columns = args_.out_columns.extent();
    const bool pairs = all_columns % 2 == 0;
    using Two = Pack<float, 2>;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int32_t row = row_number(half * 8 + lane_ / 4);
      const int first = column_ + Sums::column(0, lane_);
      float* const to = out + (int64_t(row) * all_columns + first);
      const int left = row < 0 ? 0 : all_columns - first;
#pragma unroll
      for (int i = 0; i < Sums::kSums / 4; ++i) {
        const Two two = {{product.sums[4 * i + 2 * half], product.sums[4 * i + 2 * half + 1]}};
        if (8 * i + 1 < left && pairs) {
          *reinterpret_cast<Two*>(to + 8 * i) = two;
        } else {
          if (8 * i < left) to[8 * i] = two.elements[0];
          if (8 * i + 1 < left) to[8 * i + 1] = two.elements[1];
        }
      }
    }
  }

 private:
  static constexpr int kPieces = columns / kColumns;

  const ProductArgs<T>& args_;
  const ResultRows& rows_;
  int tile_, row_, column_, lane_;
  Stage stage_;

  TORCHCONV_ANYWHERE int32_t row_number(int row) const {
    return rows_(tile_, row_ + row, args_.out_rows.extent());
  }

  TORCHCONV_ANYWHERE void put(const Sums& product, int piece) const {
    constexpr int kSums = kRows * kColumns / kWarp;
    stage_.put([&](const auto&, const auto& put_two) {
#pragma unroll
      for (int i = 0; i < kSums; i += 2) {
        const float first = product.sums[piece * kSums + i];
        const float second = product.sums[piece * kSums + i + 1];
        put_two(Sums::row(i, lane_), Sums::column(i, lane_), first, second);
      }
    });
  }
};

}  // namespace torchconv::cuda
