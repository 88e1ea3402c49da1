// The geometry of a depthwise convolution, for its kernels and for those who share out their work.
// Plain numbers, no torch headers.
#pragma once

#include "cpu/correlation.h"

namespace torchconv {

/// One dimension of "dest = Σ taps · source", which is conv2d as well as its input gradient.
/// Results that lie `phases` apart read the same taps: result phase + u · phases meets tap k at
/// source position u · step + shift, if the shift is a whole number.
struct DepthwiseLine {
  int64_t source, dest;
  int64_t step, phases;
  int64_t taps, first, tap_step;  // shift = (phase + first + k · tap_step) / phases

  int64_t count() const { return ceil_div(dest, phases); }
  int64_t least_shift() const {
    return floor_quotient(first + (tap_step < 0 ? (taps - 1) * tap_step : 0), phases);
  }
  int64_t most_shift() const {
    return floor_quotient(phases - 1 + first + (tap_step < 0 ? 0 : (taps - 1) * tap_step), phases);
  }
  int64_t reach() const { return most_shift() - least_shift() + 1; }

  /// The phase that meets a tap, and its shift.
  int64_t phase(int64_t tap) const {
    const int64_t at = first + tap * tap_step;
    return shift(tap) * phases - at;
  }
  int64_t shift(int64_t tap) const { return -floor_quotient(-first - tap * tap_step, phases); }
  bool is_dense() const { return step == 1 && phases == 1 && tap_step * tap_step == 1; }
};

inline DepthwiseLine forward_rows(const Conv2dShape& s) {
  return {s.in_h, s.out_h, s.stride_h, 1, s.kernel_h, -s.pad_top, s.dilation_h};
}
inline DepthwiseLine forward_columns(const Conv2dShape& s) {
  return {s.in_w, s.out_w, s.stride_w, 1, s.kernel_w, -s.pad_left, s.dilation_w};
}
inline DepthwiseLine backward_rows(const Conv2dShape& s) {
  return {s.out_h, s.in_h, 1, s.stride_h, s.kernel_h, s.pad_top, -s.dilation_h};
}
inline DepthwiseLine backward_columns(const Conv2dShape& s) {
  return {s.out_w, s.in_w, 1, s.stride_w, s.kernel_w, s.pad_left, -s.dilation_w};
}

/// Planes are worked through in bands of rows. A band's source is copied to scratch, with zeros
/// around the image, and there split by position modulo step:
/// source[h phase][w phase][phase_rows][pitch], so that each tap is the same flat array at another
/// offset. Results come out as dest[w phase][rows][pitch] with pitch - count columns of garbage.
struct DepthwiseBands {
  int64_t rows, bands, pitch, phase_rows;
  int64_t source_size, dest_phase, dest_size;  // elements
};

/// Widths in scratch are whole vectors of the narrowest type, and every flat array has one more
/// vector of slack, because the last vector starts anywhere.
constexpr int64_t kDepthwiseRounding = 16;
/// Elements of a band that should stay in the L1 cache, and in the L2 cache.
constexpr int64_t kDepthwiseNear = 6 * 1024;
constexpr int64_t kDepthwiseFar = 64 * 1024;
constexpr int64_t kDepthwiseMostTaps = 1024;
/// A tap in a kernel's list of those that it has to visit: an offset, and a weight or its number.
constexpr int64_t kDepthwiseTapBytes = 32;

inline DepthwiseBands depthwise_bands(const DepthwiseLine& h, const DepthwiseLine& w) {
  DepthwiseBands b;
  b.pitch = w.count() - 1 + ceil_div(w.reach(), w.step);
  const int64_t rounded = round_up(b.pitch, kDepthwiseRounding);
  if (rounded - w.count() <= w.count() / 4) b.pitch = rounded;
  const int64_t row = h.step * w.step * b.pitch, halo = ceil_div(h.reach(), h.step) - 1;
  const int64_t near = kDepthwiseNear / row - halo, far = kDepthwiseFar / row - halo;
  // A band in which most rows belong to its neighbours had better be larger.
  b.rows = near >= 2 * halo ? near : far < 2 * halo ? far : 2 * halo;
  b.rows = b.rows < 1 ? 1 : b.rows > h.count() ? h.count() : b.rows;
  b.bands = ceil_div(h.count(), b.rows);
  b.rows = ceil_div(h.count(), b.bands);
  b.phase_rows = b.rows + halo;
  b.source_size = b.phase_rows * row + kDepthwiseRounding;
  b.dest_phase = round_up(b.rows * b.pitch, kDepthwiseRounding);
  b.dest_size = w.phases * b.dest_phase + kDepthwiseRounding;
  return b;
}

/// Where channels are contiguous, lanes run along them: blocks of this many, groups of so many
/// rows.
constexpr int64_t kDepthwiseBlock = 256;
constexpr int64_t kDepthwiseRows = 8;
/// Rows of grad_out that its weight gradient takes at a time, at most.
constexpr int64_t kDepthwiseGradRows = 2;
/// Channels that are turned at a time, a whole number of vectors of any type, and the most pixels
/// in their planes. With a stride of 2, rows would have to be split, and more planes are turned.
constexpr int64_t kDepthwiseTurned = 16;
constexpr int64_t kDepthwiseTurnedPixels = 16 * 16, kDepthwiseTurnedPixelsOfStride2 = 64 * 64;

/// Whether the depthwise kernels take a convolution: one input channel in a group, and nothing so
/// large that its rows would not fit in scratch.
inline bool is_depthwise(const Conv2dShape& s) {
  if (s.groups == 1 || s.groups != s.in_channels || s.out_channels == 0) return false;
  const double extent_h = double(s.kernel_h - 1) * double(s.dilation_h) + 1;
  const double extent_w = double(s.kernel_w - 1) * double(s.dilation_w) + 1;
  const double width = double(s.in_w) + double(s.pad_left) + double(s.pad_right) + extent_w;
  return double(s.kernel_h) * double(s.kernel_w) <= double(kDepthwiseMostTaps) &&
         (extent_h + double(s.stride_h)) * (width + double(s.stride_w)) <= 2 * kDepthwiseFar;
}

}  // namespace torchconv
