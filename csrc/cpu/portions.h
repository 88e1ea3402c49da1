// How a block of convolution and pooling is cut into portions whose intermediate result stays in
// the caches, and which rows of one side belong to rows of the other.
#pragma once

#include <algorithm>
#include <numeric>

#include "cpu/correlation.h"

namespace torchconv {

/// Rows of an image, or of something computed from one.
struct RowRange {
  int64_t first, count;
};

/// Windows in one dimension.
struct WindowLine {
  int64_t kernel, stride, pad, dilation;

  int64_t extent() const { return (kernel - 1) * dilation + 1; }
};

/// Some rows of the one side, the rows of the other that they need, and the padding with which
/// windows over these alone are the same ones.
struct RowMap {
  RowRange rows, others;
  int64_t pad;
};

/// For some outputs: the inputs that they read.
inline RowMap inputs_of(RowRange outputs, const WindowLine& w, int64_t in) {
  const int64_t first = outputs.first * w.stride - w.pad;
  const int64_t end = first + (outputs.count - 1) * w.stride + w.extent();
  const int64_t from = clamp(first, 0, in), to = clamp(end, from, in);
  return {outputs, {from, to - from}, from - first};
}

/// For some inputs: the outputs that read them, of which there are `out`.
inline RowMap outputs_of(RowRange inputs, const WindowLine& w, int64_t out) {
  const int64_t first = inputs.first + w.pad;
  const int64_t from =
      clamp(std::min(ceil_quotient(first - w.extent() + 1, w.stride), first / w.stride), 0, out);
  const int64_t to = clamp((first + inputs.count - 1) / w.stride + 1, from, out);
  return {inputs, {from, to - from}, first - from * w.stride};
}

/// How much a portion of an intermediate result takes at most, unless a few rows are more.
int64_t portion_bytes();
void set_portion_bytes(int64_t bytes);

struct Portion {
  RowRange images, rows;
};

/// Portions of some images that have `rows` rows each, so many bytes long.
class Portions {
 public:
  /// Rows are cut at multiples of `multiple`.
  Portions(int64_t images, int64_t rows, double row_bytes, int64_t multiple)
      : images_(images), rows_(rows) {
    const double most = static_cast<double>(portion_bytes());
    const double image_bytes = std::max(1.0, row_bytes * static_cast<double>(rows));
    rows_at_once_ = rows;
    if (image_bytes <= most) {
      const double fitting = std::min(most / image_bytes, static_cast<double>(images));
      images_at_once_ = ceil_div(images, ceil_div(images, static_cast<int64_t>(fitting)));
    } else {
      const int64_t fitting = std::max<int64_t>(1, static_cast<int64_t>(most / row_bytes));
      rows_at_once_ = std::min(rows, round_up(ceil_div(rows, ceil_div(rows, fitting)), multiple));
    }
    row_portions_ = ceil_div(rows, rows_at_once_);
  }

  /// Whether there are enough for threads to share them evenly.
  bool fill(int64_t threads) const { return count() >= 4 * threads || count() % threads == 0; }

  int64_t count() const { return ceil_div(images_, images_at_once_) * row_portions_; }
  Portion operator[](int64_t index) const {
    const int64_t image = index / row_portions_ * images_at_once_;
    const int64_t row = index % row_portions_ * rows_at_once_;
    return {{image, std::min(images_at_once_, images_ - image)},
            {row, std::min(rows_at_once_, rows_ - row)}};
  }

 private:
  int64_t images_, rows_;
  int64_t images_at_once_ = 1, rows_at_once_ = 1, row_portions_ = 1;
};

}  // namespace torchconv
