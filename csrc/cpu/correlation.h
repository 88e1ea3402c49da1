// The forward convolution and the gradient of its input as one thing: a sum over channels and taps
// of a source image, for every pixel of a grid.
//
//   out[n, m, y, x] = Σ_{c, t, u} weight(m, c, t, u) · source[n, c, y · stride_h + h(t), x ·
//   stride_w + w(u)]
//
// The gradient of the input is one such sum for each remainder of an input position by the stride:
// positions with the same remainder meet the same taps, and step through grad_out one by one. So no
// zero is ever multiplied that lies between the steps of a stride.
//
// Included outside of the target regions; no torch headers.
#pragma once

#include <cstdint>

#include "shapes.h"
#include "taps.h"

namespace torchconv {

inline int64_t floor_quotient(int64_t a, int64_t b) { return b == 1 ? a : a / b - (a % b < 0); }
inline int64_t ceil_quotient(int64_t a, int64_t b) { return b == 1 ? a : a / b + (a % b > 0); }
inline int64_t round_up(int64_t value, int64_t multiple) {
  return ceil_div(value, multiple) * multiple;
}
inline int64_t clamp(int64_t value, int64_t low, int64_t high) {
  return value < low ? low : value > high ? high : value;
}
template <class T>
inline T least(T a, T b) {
  return a < b ? a : b;
}

inline int64_t greatest_common_divisor(int64_t a, int64_t b) {
  return b == 0 ? (a < 0 ? -a : a) : greatest_common_divisor(b, a % b);
}

/// The most taps that any remainder has, and how far apart they are.
inline TapLine most_backward_taps(int64_t kernel, int64_t stride, int64_t dilation) {
  const int64_t common = greatest_common_divisor(stride, dilation);
  const int64_t step = stride / common;  // of taps whose shift changes by a multiple of the stride
  return {(kernel - 1) / step + 1, 0, -(dilation / common), 0, step, 1};
}

/// Whether there are inputs between the steps of the stride that no output reads. (Inputs beyond
/// the last step meet taps outside of grad_out.)
inline bool some_inputs_meet_no_tap(const Conv2dShape& s) {
  return s.out_channels == 0 ||
         s.kernel_h * greatest_common_divisor(s.stride_h, s.dilation_h) < s.stride_h ||
         s.kernel_w * greatest_common_divisor(s.stride_w, s.dilation_w) < s.stride_w ||
         greatest_common_divisor(s.stride_h, s.dilation_h) > 1 ||
         greatest_common_divisor(s.stride_w, s.dilation_w) > 1;
}

/// How a row (or column) of the source lies in a strip. Outputs a stride apart lie next to each
/// other, so every tap reads at a fixed offset from them: positions are sorted by their remainder,
/// one class for each that a tap meets. Where little would be shared between taps, as with a large
/// dilation, every tap has a class of its own.
struct StripLine {
  int64_t classes, size;  // size: positions in one class
  int64_t stride, first, step;
  int64_t period;  // taps so far apart share a class; 0: none do
  int64_t lowest;  // position / stride of the first in a class

  StripLine(const TapLine& taps, int64_t outs)
      : stride(taps.stride), first(taps.first), step(taps.step) {
    const int64_t end = first + (taps.count - 1) * step;
    lowest = floor_quotient(least(first, end), stride);
    const int64_t highest = floor_quotient(first > end ? first : end, stride);
    period = stride / greatest_common_divisor(stride, step);
    classes = least(period, taps.count);
    size = outs + highest - lowest;
    if (double(taps.count) * double(outs) < double(classes) * double(size)) {
      period = 0;
      classes = taps.count;
      size = outs;
    }
  }

  int64_t class_of(int64_t tap) const { return period == 0 ? tap : tap % period; }
  int64_t offset(int64_t tap) const {
    return period == 0 ? 0 : floor_quotient(first + tap * step, stride) - lowest;
  }
  /// Source position of element i of a class, for a strip that begins at output `begin`.
  int64_t position(int64_t index, int64_t i, int64_t begin) const {
    const int64_t tap = first + index * step;
    const int64_t base =
        period == 0 ? tap : lowest * stride + tap - floor_quotient(tap, stride) * stride;
    return base + (begin + i) * stride;
  }
};

inline bool is_inside(int64_t position, int64_t size) { return position >= 0 && position < size; }

/// A part [first, last) of a range.
struct Range {
  int64_t first, last;
};

/// The taps that an output finds inside of the source.
inline Range taps_inside(const TapLine& line, int64_t out, int64_t source) {
  Range taps{0, line.count};
  const int64_t at = out * line.stride + line.first;
  while (taps.first < taps.last && !is_inside(at + taps.first * line.step, source)) ++taps.first;
  while (taps.first < taps.last && !is_inside(at + (taps.last - 1) * line.step, source))
    --taps.last;
  return taps;
}

/// The outputs, of `count` from `begin` on, for which a tap is inside of the source; from `begin`.
inline Range outputs_inside(const TapLine& line, int64_t tap, int64_t begin, int64_t count,
                            int64_t source) {
  const int64_t at = line.first + tap * line.step;
  const int64_t first = clamp(ceil_quotient(-at, line.stride) - begin, 0, count);
  const int64_t last = floor_quotient(source - 1 - at, line.stride) + 1 - begin;
  return {first, clamp(last, first, count)};
}

/// The share of the pairs of a tap and an output that are inside of the source.
inline double rows_inside(const TapLine& line, int64_t begin, int64_t count, int64_t source) {
  int64_t inside = 0;
  for (int64_t tap = 0; tap < line.count; ++tap) {
    const Range outs = outputs_inside(line, tap, begin, count, source);
    inside += outs.last - outs.first;
  }
  return static_cast<double>(inside) / (static_cast<double>(count) * line.count);
}

/// Whether the outputs of a strip are computed row by row, which fills panels of `panel` outputs
/// less well, but leaves out what is between the rows, if there are gaps, and rows of taps outside.
/// Asked of whole images: what an infinite weight meets must not depend on the cut into strips.
inline bool takes_rows(bool gapless, int64_t cols, int64_t panel, double inside) {
  return inside < 0.5 || (2 * cols > panel && (!gapless || inside < 0.95));
}

/// The sizes of such a sum, for one group.
struct Correlation {
  int64_t batch;
  int64_t channels, source_h, source_w;
  int64_t out_channels, out_h, out_w;
  TapLine h, w;

  int64_t taps() const { return h.count * w.count; }
  int64_t depth() const { return channels * taps(); }
};

inline Correlation forward_correlation(const Conv2dShape& s) {
  return {s.batch,
          s.group_in_channels(),
          s.in_h,
          s.in_w,
          s.group_out_channels(),
          s.out_h,
          s.out_w,
          forward_taps(s.kernel_h, s.stride_h, s.pad_top, s.dilation_h),
          forward_taps(s.kernel_w, s.stride_w, s.pad_left, s.dilation_w)};
}

/// Of the inputs at rows ≡ remainder_h (mod stride_h) and columns ≡ remainder_w (mod stride_w).
inline Correlation backward_correlation(const Conv2dShape& s, int64_t remainder_h,
                                        int64_t remainder_w) {
  return {s.batch,
          s.group_out_channels(),
          s.out_h,
          s.out_w,
          s.group_in_channels(),
          remainder_h < s.in_h ? (s.in_h - remainder_h - 1) / s.stride_h + 1 : 0,
          remainder_w < s.in_w ? (s.in_w - remainder_w - 1) / s.stride_w + 1 : 0,
          backward_taps(s.kernel_h, s.stride_h, s.pad_top, s.dilation_h, remainder_h),
          backward_taps(s.kernel_w, s.stride_w, s.pad_left, s.dilation_w, remainder_w)};
}

/// The terms of a sum are added up in blocks: of whole channels, of whole rows of taps where those
/// are too many for a block, or of parts of one.
struct Block {
  int64_t channel, channels;
  int64_t row, rows;
  int64_t col, cols;

  int64_t depth() const { return channels * rows * cols; }
  /// Where `terms` channels are packed into one.
  int64_t packed_depth(int64_t terms) const { return ceil_div(channels, terms) * rows * cols; }
};
class Blocks {
 public:
  /// Of at most `most` terms each, where `terms` channels count as one term.
  Blocks(const Correlation& c, int64_t most, int64_t terms) : c_(c) {
    if (c.depth() == 0) return;
    cols_ = least(c.w.count, most);
    rows_ = clamp(most / cols_, 1, c.h.count);
    if (cols_ < c.w.count) rows_ = 1;
    channels_ = 1;
    if (c.taps() <= most) {
      const int64_t packed = ceil_div(c.channels, terms);
      const int64_t blocks = ceil_div(packed, least(packed, most / c.taps()));
      channels_ = terms * ceil_div(packed, blocks);
    }
    row_blocks_ = ceil_div(c.h.count, rows_);
    col_blocks_ = ceil_div(c.w.count, cols_);
    count_ = ceil_div(c.channels, channels_) * row_blocks_ * col_blocks_;
  }
  int64_t count() const { return count_; }
  Block operator[](int64_t index) const {
    const int64_t col = index % col_blocks_ * cols_,
                  row = index / col_blocks_ % row_blocks_ * rows_;
    const int64_t channel = index / col_blocks_ / row_blocks_ * channels_;
    return {channel, least(channels_, c_.channels - channel), row, least(rows_, c_.h.count - row),
            col,     least(cols_, c_.w.count - col)};
  }

 private:
  Correlation c_;
  int64_t channels_ = 0, rows_ = 0, cols_ = 0;
  int64_t row_blocks_ = 0, col_blocks_ = 0, count_ = 0;
};

}  // namespace torchconv
