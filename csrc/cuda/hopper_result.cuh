// From the sums of a warpgroup to memory. Each warp has 16 rows; it brings 64 columns at a time
// through shared memory of its own, so that it stores whole runs along the way that the result
// lies.
#pragma once

#include "cuda/hopper_load.cuh"
#include "cuda/product_result.cuh"

namespace torchconv::cuda {

/// The sums of one lane, as a product of 64 x columns leaves them.
template <int columns>
struct GroupSums {
  static constexpr int kSums = columns / 2;
  float sums[kSums];

  TORCHCONV_ANYWHERE static int row(int i, int lane) { return lane / 4 + i / 2 % 2 * 8; }
  TORCHCONV_ANYWHERE static int column(int i, int lane) { return i / 4 * 8 + lane % 4 * 2 + i % 2; }
};

/// Which rows of the result a tile has: consecutive ones, or rectangles of pixels.
struct ResultRows {
  bool rectangles = false;
  PlaneTiles planes;

  /// The number of a row in the result, and how many of those after it follow in a run of `run`.
  struct Run {
    int32_t first, count;
  };
  TORCHCONV_ANYWHERE Run operator()(int32_t tile, int in_tile, int run, int32_t all) const {
    if (!rectangles) {
      const int32_t first = tile * kTileRows + in_tile;
      return {first, all - first < run ? all - first : run};
    }
    const auto corner = planes(tile);
    const int32_t row = corner.row + (in_tile >> planes.width_bits);
    const int32_t column = corner.column + (in_tile & ((1 << planes.width_bits) - 1));
    const int32_t left = row < planes.rows ? planes.columns - column : 0;
    return {(corner.image * planes.rows + row) * planes.columns + column, left < run ? left : run};
  }
};

/// What one warp writes: 16 rows of a tile, from its own shared memory.
template <class T, int columns>
class HopperWriter {
 public:
  using Sums = GroupSums<columns>;
  static constexpr int kRows = 16, kColumns = 64, kPitch = kColumns + 4;
  static constexpr int kBytes = ((kRows - 1) * kPitch + kColumns) * int(sizeof(float));

  TORCHCONV_ANYWHERE HopperWriter(const ProductArgs<T>& args, const ResultRows& rows, int tile,
                                  int row, int column, int lane, char* shared)
      : args_(args),
        rows_(rows),
        tile_(tile),
        row_(row),
        column_(column),
        lane_(lane),
        sums_(reinterpret_cast<float*>(shared)) {}

  /// Adds the bias and writes the result. Lanes share out 64 columns at a time in lines of runs.
  /// Each has the same run of several lines, whose way in memory is the sum of a line's and a
  /// run's.
  TORCHCONV_ANYWHERE void write(const Sums& product) const {
    const bool along_rows = args_.out_along_rows;
    const int in_line = (along_rows ? kRows : kColumns) / kRun, step = kWarp / in_line;
    const int along = lane_ % in_line * kRun, line = lane_ / in_line;
    int64_t lines[kLines];
    Part part;
    if (along_rows) {
      part = run_part(args_.out_rows, run(along, kRun));
    } else {
#pragma unroll
      for (int i = 0; i < kLines; ++i) {
        lines[i] = line_offset(args_.out_rows, run(line + i * step, 1));
      }
    }
#pragma unroll 1
    for (int piece = 0; piece < kPieces; ++piece) {
      stage(product, piece);
      if (along_rows) {
#pragma unroll
        for (int i = 0; i < kLines; ++i) {
          lines[i] = line_offset(args_.out_columns, column_run(piece, line + i * step, 1));
        }
      } else {
        part = run_part(args_.out_columns, column_run(piece, along, kRun));
      }
      bool whole = part.whole;
#pragma unroll
      for (int i = 0; i < kLines; ++i) {
        whole =
            whole && (lines[i] == kNoLine || aligned<Whole>(args_.out + (part.offset + lines[i])));
      }
      if (whole) {
#pragma unroll
        for (int i = 0; i < kLines; ++i) {
          if (lines[i] == kNoLine) continue;
          Whole results;
          load(piece, line + i * step, along, &results);
          *reinterpret_cast<Whole*>(args_.out + (part.offset + lines[i])) = results;
        }
      } else if (part.count > 0) {
#pragma unroll 1
        for (int i = 0; i < kLines; ++i) {
          store_single(piece, line + i * step, along, part.count);
        }
      }
    }
    sync_warp();  // which the next products ask for
  }

  /// Writes parts of sums, which lie densely, at once.
  TORCHCONV_ANYWHERE void write_part(const Sums& product, float* out) const {
    const int all_columns = args_.out_columns.extent();
    const bool pairs = all_columns % 2 == 0;
    using Two = Pack<float, 2>;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const auto row = run(half * 8 + lane_ / 4, 1);
      const int first = column_ + Sums::column(0, lane_);
      float* const to = out + (int64_t(row.first) * all_columns + first);
      const int left = row.count > 0 ? all_columns - first : 0;
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
  static constexpr int kRun = 16 / sizeof(T);  // elements that a lane stores at once
  static constexpr int kLines = kRows * kColumns / kRun / kWarp;  // of a lane
  static constexpr int kPieces = columns / kColumns;
  using Whole = Pack<T, kRun>;

  const ProductArgs<T>& args_;
  const ResultRows& rows_;
  int tile_, row_, column_, lane_;
  float* sums_;

  TORCHCONV_ANYWHERE ResultRows::Run run(int row, int length) const {
    return rows_(tile_, row_ + row, length, args_.out_rows.extent());
  }

  static constexpr int64_t kNoLine = INT64_MIN;  // of a line that the result does not have

  /// A run's part in an offset, and whether a whole run of neighbours is there.
  struct Part {
    int64_t offset;
    int count;
    bool whole;
  };
  TORCHCONV_ANYWHERE static Part run_part(const Axis& axis, const ResultRows::Run& run) {
    if (run.count <= 0) return {0, 0, false};
    const int64_t offset = axis(run.first).offset;
    const bool neighbours = axis(run.first + kRun - 1).offset == offset + kRun - 1;
    return {offset, run.count, run.count == kRun && neighbours};
  }
  TORCHCONV_ANYWHERE static int64_t line_offset(const Axis& axis, const ResultRows::Run& run) {
    return run.count > 0 ? axis(run.first).offset : kNoLine;
  }
  TORCHCONV_ANYWHERE ResultRows::Run column_run(int piece, int column, int length) const {
    const int first = column_ + piece * kColumns + column;
    const int left = args_.out_columns.extent() - first;
    return {first, left < length ? left : length};
  }

  /// Registers have no numbers at run time; hence a branch for each piece.
  TORCHCONV_ANYWHERE void stage(const Sums& product, int piece) const {
    constexpr int kSums = Sums::kSums / kPieces;
    sync_warp();
#pragma unroll
    for (int p = 0; p < kPieces; ++p) {
      if (p != piece) continue;
#pragma unroll
      for (int i = 0; i < kSums; ++i) {
        sums_[Sums::row(i, lane_) * kPitch + Sums::column(i, lane_)] = product.sums[p * kSums + i];
      }
    }
    sync_warp();
  }

  /// Where a run lies in shared memory, from element to element, and as a column and a row.
  struct Staged {
    const float* from;
    int pitch, row, column, row_step, column_step;
  };
  TORCHCONV_ANYWHERE Staged staged(int piece, int line, int along) const {
    const bool along_rows = args_.out_along_rows;
    const int row = along_rows ? along : line, column = along_rows ? line : along;
    return {sums_ + (row * kPitch + column),     along_rows ? kPitch : 1, row,
            column_ + piece * kColumns + column, along_rows ? 1 : 0,      along_rows ? 0 : 1};
  }

  /// A run of results from shared memory.
  TORCHCONV_ANYWHERE void load(int piece, int line, int along, Whole* results) const {
    const Staged at = staged(piece, line, along);
#pragma unroll
    for (int i = 0; i < kRun; ++i) {
      float sum = at.from[i * at.pitch];
      if (args_.bias != nullptr) {
        sum += widen(args_.bias[(at.column + i * at.column_step) * args_.bias_step]);
      }
      narrow(sum, &results->elements[i]);
    }
  }

  /// Results that are not neighbours, or not all there.
  TORCHCONV_ANYWHERE void store_single(int piece, int line, int along, int count) const {
    const Staged at = staged(piece, line, along);
    const auto row = run(at.row, 1);
    if (row.count <= 0 || at.column >= args_.out_columns.extent()) return;
#pragma unroll 1
    for (int i = 0; i < count; ++i) {
      const int c = at.column + i * at.column_step, r = row.first + i * at.row_step;
      float sum = at.from[i * at.pitch];
      if (args_.bias != nullptr) sum += widen(args_.bias[c * args_.bias_step]);
      narrow(sum, args_.out + args_.out_rows(r).offset + args_.out_columns(c).offset);
    }
  }
};

}  // namespace torchconv::cuda
