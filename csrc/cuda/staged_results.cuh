// Results of a warp on their way from registers to memory. A lane has sums of many rows and
// columns, but a warp should store runs of neighbours: so results pass through shared memory of the
// warp's own, where they lie in the order that they have in memory, beside tables of where rows and
// columns lead to.
#pragma once

#include "cuda/operand.cuh"
#include "cuda/runs.cuh"
#include "cuda/warp.cuh"

namespace torchconv::cuda {

/// rows x columns results of type O, which have been sums of type Sum.
template <class O, class Sum, int rows, int columns>
class StagedResults {
 public:
  using Result = O;
  static constexpr int kRun = kVectorBytes / int(sizeof(O));

 private:
  // Lines and gaps such that what lanes write at once (kinds of products have eight rows, and four
  // pairs of columns) lies in different banks.
  static constexpr int kRowPitch = columns * int(sizeof(O)) + (sizeof(O) <= 2 ? 16 : 32);
  static constexpr int kColumnPitch = rows * int(sizeof(O)) + 16;
  static constexpr int kLineBytes =
      rows * kRowPitch > columns* kColumnPitch ? rows * kRowPitch : columns * kColumnPitch;
  static constexpr int kTableBytes = (rows + columns) * int(sizeof(int64_t));
  static_assert(kLineBytes % kVectorBytes == 0);

 public:
  static constexpr int kBytes = kLineBytes + kTableBytes + columns * int(sizeof(Sum));
  static constexpr int64_t kNowhere = -1;    // of a row or column that the result does not have
  static constexpr Sum kNoBias = Sum(-0.0);  // which added to a zero leaves its sign

  /// along_rows: whether neighbours in memory are those of a column.
  TORCHCONV_ANYWHERE StagedResults(char* shared, bool along_rows, int lane)
      : lines_(shared),
        rows_(reinterpret_cast<int64_t*>(shared + kLineBytes)),
        along_rows_(along_rows),
        lane_(lane) {}

  /// Notes where each row leads to: fn(i) is its offset, or kNowhere. Wait for the warp before and
  /// after.
  template <class Fn>
  TORCHCONV_ANYWHERE void note_rows(const Fn& fn) const {
#pragma unroll
    for (int i = 0; i < rows; i += kWarp) {
      if (i + lane_ < rows) rows_[i + lane_] = fn(i + lane_);
    }
  }
  /// The same of columns, and their biases, fn2(i): kNoBias, for those that have none.
  template <class Fn, class Fn2>
  TORCHCONV_ANYWHERE void note_columns(const Fn& fn, const Fn2& fn2) const {
#pragma unroll
    for (int i = 0; i < columns; i += kWarp) {
      if (i + lane_ >= columns) continue;
      offsets_of_columns()[i + lane_] = fn(i + lane_);
      biases()[i + lane_] = fn2(i + lane_);
    }
  }

  /// Adds biases to sums and puts them in their places. fn is called with a function of row, column
  /// and sum, and with one of row, column and two sums of a row.
  template <class Fn>
  TORCHCONV_ANYWHERE void put(const Fn& fn) const {
    along_rows_ ? put_in_order<true>(fn) : put_in_order<false>(fn);
  }

  /// Stores all, in runs of 16 bytes if there are only whole ones.
  TORCHCONV_ANYWHERE void store(O* out, bool whole) const {
    if (whole) {
      along_rows_ ? store_runs<rows, kColumnPitch>(out, offsets_of_columns(), rows_)
                  : store_runs<columns, kRowPitch>(out, rows_, offsets_of_columns());
    } else {
      along_rows_ ? store_elements<rows, kColumnPitch>(out, offsets_of_columns(), rows_)
                  : store_elements<columns, kRowPitch>(out, rows_, offsets_of_columns());
    }
  }

 private:
  char* lines_;
  int64_t* rows_;
  bool along_rows_;
  int lane_;

  TORCHCONV_ANYWHERE int64_t* offsets_of_columns() const { return rows_ + rows; }
  TORCHCONV_ANYWHERE Sum* biases() const {
    return reinterpret_cast<Sum*>(offsets_of_columns() + columns);
  }

  template <bool along_rows, class Fn>
  TORCHCONV_ANYWHERE void put_in_order(const Fn& fn) const {
    const auto at = [&](int row, int column) {
      const int place = along_rows ? column * kColumnPitch + row * int(sizeof(O))
                                   : row * kRowPitch + column * int(sizeof(O));
      return reinterpret_cast<O*>(lines_ + place);
    };
    const auto rounded = [&](int column, Sum sum) {
      O result;
      narrow(Accumulator<O>(sum + biases()[column]), &result);
      return result;
    };
    const auto put_one = [&](int row, int column, Sum sum) {
      *at(row, column) = rounded(column, sum);
    };
    const auto put_two = [&](int row, int column, Sum first, Sum second) {
      const O results[2] = {rounded(column, first), rounded(column + 1, second)};
      if constexpr (along_rows) {
        *at(row, column) = results[0];
        *at(row, column + 1) = results[1];
      } else {
        *reinterpret_cast<Pack<O, 2>*>(at(row, column)) = {{results[0], results[1]}};
      }
    };
    fn(put_one, put_two);
  }

  /// Lines of so many elements; what they and their elements lead to.
  template <int in_line, int pitch>
  TORCHCONV_ANYWHERE void store_runs(O* out, const int64_t* lines, const int64_t* elements) const {
    using Whole = Pack<uint32_t, kVectorBytes / 4>;
    static_assert(rows * columns / kRun % kWarp == 0 && in_line % kRun == 0);
#pragma unroll 4
    for (int i = 0; i < rows * columns / kRun; i += kWarp) {
      const int line = (i + lane_) / (in_line / kRun),
                first = (i + lane_) % (in_line / kRun) * kRun;
      const int64_t of_line = lines[line], of_element = elements[first];
      if (of_line < 0 || of_element < 0) continue;
      const char* const from = lines_ + line * pitch + first * int(sizeof(O));
      *reinterpret_cast<Whole*>(out + (of_line + of_element)) =
          *reinterpret_cast<const Whole*>(from);
    }
  }
  template <int in_line, int pitch>
  TORCHCONV_ANYWHERE void store_elements(O* out, const int64_t* lines,
                                         const int64_t* elements) const {
#pragma unroll 4
    for (int i = 0; i < rows * columns; i += kWarp) {
      const int line = (i + lane_) / in_line, element = (i + lane_) % in_line;
      const int64_t of_line = lines[line], of_element = elements[element];
      if (of_line < 0 || of_element < 0) continue;
      out[of_line + of_element] =
          *reinterpret_cast<const O*>(lines_ + line * pitch + element * int(sizeof(O)));
    }
  }
};

/// Whether results that lie so come in runs of 16 bytes, which are whole and aligned: `run`
/// elements each. `steps`: from matrix to matrix of a batch.
inline bool in_whole_runs(const void* out, const Axis& rows, const Axis& columns, bool along_rows,
                          const std::array<int64_t, 3>& steps, int run) {
  const Axis &along = along_rows ? rows : columns, &lines = along_rows ? columns : rows;
  bool whole = reinterpret_cast<uintptr_t>(out) % kVectorBytes == 0 && along.digit(2).offset == 1 &&
               along.digit(2).extent % run == 0;
  for (int d = 0; d < 3; ++d) {
    if (d < 2 && along.digit(d).extent > 1) whole = whole && along.digit(d).offset % run == 0;
    if (lines.digit(d).extent > 1) whole = whole && lines.digit(d).offset % run == 0;
  }
  for (const int64_t step : steps) whole = whole && step % run == 0;
  return whole;
}

}  // namespace torchconv::cuda
