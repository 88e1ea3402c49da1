// How a warp multiplies: its part of a product of two tiles, kRows x kColumns sums in the registers
// of its lanes. All kinds have the same face:
//
//   multiply(rows, columns)     adds the products of two tiles' terms, from the warp's first index
//   product[i], i < kSums       the sums of one lane; row(i), column(i): where they belong
//   kStageRows                  rows whose sums have numbers of their own in every lane
//   kPairs                      whether sums come in pairs of neighbours in a row
#pragma once

#include "cuda/kinds.h"
#include "cuda/tile.cuh"

namespace torchconv::cuda {

TORCHCONV_ANYWHERE inline int lane_of(int thread) { return thread % kWarp; }

// ---- tensor cores: blocks of 16 x 8 sums -------------------------------------------------------

/// 16 indices of a tile, 32 bytes of terms each, from index `first + block` and the `step`-th 32
/// bytes on. `first` is that of the warp.
template <class T, class Tile>
TORCHCONV_ANYWHERE inline void load_rows(const char* tile, int first, int block, int step, int lane,
                                         uint32_t (&out)[4]) {
  if constexpr (Tile::kAlongSum) {
    const int chunk = 2 * step + lane / 16;
    load_matrices<false>(tile + Tile::at_index(first, block, lane % 16, chunk), out);
  } else if constexpr (sizeof(T) == 2) {
    const int line = 16 * step + lane % 8 + lane / 16 * 8;
    load_matrices<true>(tile + Tile::at_term(line, first, block, lane / 8 % 2), out);
  } else {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      out[i] = as_bits<uint32_t>(
          Tile::element(tile, first, block + i % 2 * 8, lane / 4, 8 * step + lane % 4 + i / 2 * 4));
    }
  }
}

/// The same as two blocks of 8 columns.
template <class T, class Tile>
TORCHCONV_ANYWHERE inline void load_columns(const char* tile, int first, int block, int step,
                                            int lane, uint32_t (&out)[2][2]) {
  uint32_t words[4];
  if constexpr (Tile::kAlongSum) {
    const int index = lane % 8 + lane / 16 * 8, chunk = 2 * step + lane / 8 % 2;
    load_matrices<false>(tile + Tile::at_index(first, block, index, chunk), words);
  } else if constexpr (sizeof(T) == 2) {
    const int line = 16 * step + lane % 16;
    load_matrices<true>(tile + Tile::at_term(line, first, block, lane / 16), words);
  } else {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      words[i] = as_bits<uint32_t>(
          Tile::element(tile, first, block + i / 2 * 8, lane / 4, 8 * step + lane % 4 + i % 2 * 4));
    }
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) out[i / 2][i % 2] = words[i];
}

/// Two numbers in TF32 whose sum is a float32, and the first one again, as zero if it is not
/// finite: infinity times the zero that is another factor's rest would be no number.
struct Halves {
  uint32_t whole, finite, rest;
};
TORCHCONV_ANYWHERE inline Halves halves(float x) {
  // Tensor cores ignore the last 13 bits, so half a unit of what they see rounds a number, but for
  // those that would become infinite.
  constexpr uint32_t kHalfUnit = 0x1000, kIgnored = 0x1fff, kTooLarge = 0x7f7ff000;
  constexpr uint32_t kInfinity = 0x7f800000, kQuiet = 0x00400000;
  const auto bits = as_bits<uint32_t>(x);
  const uint32_t magnitude = bits & 0x7fffffff;
  const uint32_t nearest = (magnitude < kTooLarge ? bits + kHalfUnit : bits) & ~kIgnored;
  if (magnitude < kInfinity) {
    const float rest = x - as_bits<float>(nearest);
    return {nearest, nearest, as_bits<uint32_t>(rest) + kHalfUnit};
  }
  return {magnitude > kInfinity ? bits | kQuiet : bits, 0, 0};
}

template <class Math, class RowTile, class ColumnTile, int kRows, int kColumns>
class WarpProduct {
  using T = typename Math::Element;
  static constexpr bool kThrice = std::is_same_v<Math, Tf32x3>;
  static constexpr int kParts = kThrice ? 3 : 1;
  static constexpr int kRowBlocks = kRows / 16, kColumnBlocks = kColumns / 8;

 public:
  static constexpr int kStageRows = 16, kSums = kRows * kColumns / kWarp;
  static constexpr bool kPairs = true;

  TORCHCONV_ANYWHERE float& operator[](int i) { return sums_[i / 4][i % 4]; }

  TORCHCONV_ANYWHERE static int row(int i, int lane) {
    return i / (4 * kColumnBlocks) * 16 + i / 2 % 2 * 8 + lane / 4;
  }
  TORCHCONV_ANYWHERE static int column(int i, int lane) {
    return i / 4 % kColumnBlocks * 8 + lane % 4 * 2 + i % 2;
  }

  TORCHCONV_ANYWHERE void multiply(const char* row_tile, int first_row, const char* column_tile,
                                   int first_column, int lane) {
#pragma unroll
    for (int step = 0; step < 2; ++step) {
      uint32_t columns[kColumnBlocks][kParts][2];
#pragma unroll
      for (int j = 0; j < kColumnBlocks; j += 2) {
        uint32_t two[2][2];
        load_columns<T, ColumnTile>(column_tile, first_column, 8 * j, step, lane, two);
#pragma unroll
        for (int i = 0; i < 4; ++i) prepare(two[i / 2][i % 2], i % 2, columns[j + i / 2]);
      }
#pragma unroll
      for (int r = 0; r < kRowBlocks; ++r) {
        uint32_t loaded[4], rows[kParts][4];
        load_rows<T, RowTile>(row_tile, first_row, 16 * r, step, lane, loaded);
#pragma unroll
        for (int i = 0; i < 4; ++i) prepare(loaded[i], i, rows);
#pragma unroll
        for (int j = 0; j < kColumnBlocks; ++j) {
          add(sums_[r * kColumnBlocks + j], rows, columns[j]);
        }
      }
    }
  }

 private:
  float sums_[kSums / 4][4];

  /// A loaded word as one or three factors.
  template <int n>
  TORCHCONV_ANYWHERE static void prepare(uint32_t word, int i, uint32_t (&parts)[kParts][n]) {
    if constexpr (sizeof(T) == 2) {
      parts[0][i] = word;
    } else if constexpr (kThrice) {
      const Halves both = halves(as_bits<float>(word));
      parts[0][i] = both.whole;
      parts[1][i] = both.finite;
      parts[2][i] = both.rest;
    } else {
      parts[0][i] = to_tf32(as_bits<float>(word));
    }
  }

  TORCHCONV_ANYWHERE static void add(float (&to)[4], const uint32_t (&rows)[kParts][4],
                                     const uint32_t (&columns)[kParts][2]) {
    if constexpr (sizeof(T) == 2) {
      mma_16x8x16(to, rows[0], columns[0], T{});
    } else if constexpr (kThrice) {
      // Tensor cores cut off what does not fit into a sum; only eight terms are left to them.
      float eight[4] = {0, 0, 0, 0};
      mma_16x8x8(eight, rows[2], columns[1]);
      mma_16x8x8(eight, rows[1], columns[2]);
      mma_16x8x8(eight, rows[0], columns[0]);
#pragma unroll
      for (int i = 0; i < 4; ++i) to[i] += eight[i];
    } else {
      mma_16x8x8(to, rows[0], columns[0]);
    }
  }
};

// ---- float64: blocks of 8 x 8 sums -------------------------------------------------------------

template <class RowTile, class ColumnTile, int kRows, int kColumns>
class WarpProduct<Float64, RowTile, ColumnTile, kRows, kColumns> {
  static constexpr int kRowBlocks = kRows / 8, kColumnBlocks = kColumns / 8;

 public:
  static constexpr int kStageRows = 8, kSums = kRows * kColumns / kWarp;
  static constexpr bool kPairs = true;

  TORCHCONV_ANYWHERE double& operator[](int i) { return sums_[i / 2][i % 2]; }

  TORCHCONV_ANYWHERE static int row(int i, int lane) {
    return i / (2 * kColumnBlocks) * 8 + lane / 4;
  }
  TORCHCONV_ANYWHERE static int column(int i, int lane) {
    return i / 2 % kColumnBlocks * 8 + lane % 4 * 2 + i % 2;
  }

  TORCHCONV_ANYWHERE void multiply(const char* row_tile, int first_row, const char* column_tile,
                                   int first_column, int lane) {
    const int index = lane / 4, term = lane % 4;
    double columns[kColumnBlocks][2];
#pragma unroll
    for (int j = 0; j < kColumnBlocks; ++j) {
#pragma unroll
      for (int k = 0; k < 2; ++k) {
        columns[j][k] = ColumnTile::element(column_tile, first_column, 8 * j, index, 4 * k + term);
      }
    }
#pragma unroll
    for (int r = 0; r < kRowBlocks; r += 2) {
      double rows[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        rows[i] = RowTile::element(row_tile, first_row, 8 * (r + i % 2), index, 4 * (i / 2) + term);
      }
#pragma unroll
      for (int j = 0; j < kColumnBlocks; ++j) {
        mma_16x8x8(sums_[r * kColumnBlocks + j], sums_[(r + 1) * kColumnBlocks + j], rows,
                   columns[j]);
      }
    }
  }

 private:
  double sums_[kSums / 2][2];
};

// ---- multiply-adds: a lane has every eighth row and every fourth column, or four in a row -------

template <class RowTile, class ColumnTile, int kRows, int kColumns>
class WarpProduct<Fma, RowTile, ColumnTile, kRows, kColumns> {
  static constexpr int kLaneRows = kRows / 8, kLaneColumns = kColumns / 4;

 public:
  static constexpr int kStageRows = 32, kSums = kRows * kColumns / kWarp;
  static constexpr bool kPairs = false;

  TORCHCONV_ANYWHERE float& operator[](int i) { return sums_[i / kLaneColumns][i % kLaneColumns]; }

  TORCHCONV_ANYWHERE static int row(int i, int lane) {
    return index<RowTile, 8>(i / kLaneColumns, lane / 4);
  }
  TORCHCONV_ANYWHERE static int column(int i, int lane) {
    return index<ColumnTile, 4>(i % kLaneColumns, lane % 4);
  }

  TORCHCONV_ANYWHERE void multiply(const char* row_tile, int first_row, const char* column_tile,
                                   int first_column, int lane) {
#pragma unroll
    for (int step = 0; step < RowTile::kTerms / 4; ++step) {
      float rows[kLaneRows][4], columns[kLaneColumns][4];
      load<RowTile, 8>(row_tile, first_row, lane / 4, step, rows);
      load<ColumnTile, 4>(column_tile, first_column, lane % 4, step, columns);
#pragma unroll
      for (int k = 0; k < 4; ++k) {
#pragma unroll
        for (int r = 0; r < kLaneRows; ++r) {
#pragma unroll
          for (int c = 0; c < kLaneColumns; ++c) {
            sums_[r][c] += rows[r][k] * columns[c][k];
          }
        }
      }
    }
  }

 private:
  float sums_[kLaneRows][kLaneColumns];

  struct [[gnu::may_alias]] alignas(16) Four {
    float values[4];
  };

  /// The i-th index of one of `lanes` lanes.
  template <class Tile, int lanes>
  TORCHCONV_ANYWHERE static int index(int i, int lane) {
    return Tile::kAlongSum ? i * lanes + lane : i / 4 * 4 * lanes + lane * 4 + i % 4;
  }

  /// Four terms of each index.
  template <class Tile, int lanes, int n>
  TORCHCONV_ANYWHERE static void load(const char* tile, int first, int lane, int step,
                                      float (&out)[n][4]) {
    if constexpr (Tile::kAlongSum) {
#pragma unroll
      for (int i = 0; i < n; ++i) {
        const int line = first + index<Tile, lanes>(i, lane);
        const Four four = *reinterpret_cast<const Four*>(tile + Tile::at(line, step));
#pragma unroll
        for (int k = 0; k < 4; ++k) out[i][k] = four.values[k];
      }
    } else {
#pragma unroll
      for (int k = 0; k < 4; ++k) {
#pragma unroll
        for (int i = 0; i < n; i += 4) {
          const int chunk = (first + index<Tile, lanes>(i, lane)) / 4;
          const Four four = *reinterpret_cast<const Four*>(tile + Tile::at(4 * step + k, chunk));
#pragma unroll
          for (int j = 0; j < 4; ++j) out[i + j][k] = four.values[j];
        }
      }
    }
  }
};

}  // namespace torchconv::cuda
