// Where the taps of a convolution lead in one dimension, forward and back, on every device. No
// torch headers.
#pragma once

#include <cstdint>

namespace torchconv {

/// The taps of one dimension: tap t has weight number weight + t · weight_step and reads, for
/// output o, the source at o · stride + first + t · step.
struct TapLine {
  int64_t count;
  int64_t first, step;
  int64_t weight, weight_step;
  int64_t stride;
};

inline TapLine forward_taps(int64_t kernel, int64_t stride, int64_t pad, int64_t dilation) {
  return {kernel, -pad, dilation, 0, 1, stride};
}

/// The taps that inputs at position ≡ remainder (mod stride) meet in grad_out.
inline TapLine backward_taps(int64_t kernel, int64_t stride, int64_t pad, int64_t dilation,
                             int64_t remainder) {
  // remainder + pad - tap · dilation must be a multiple of the stride. Taps that solve this follow
  // each other at a fixed distance.
  TapLine taps{0, 0, 0, 0, 1, 1};
  int64_t last = 0;
  for (int64_t tap = 0; tap < kernel && tap / 2 < stride; ++tap) {
    const int64_t shift = remainder + pad - tap * dilation;
    if (shift % stride != 0) continue;
    if (taps.count == 0) {
      taps.weight = tap;
      taps.first = shift / stride;
    } else if (taps.count == 1) {
      taps.weight_step = tap - last;
      taps.step = shift / stride - taps.first;
    }
    last = tap;
    if (++taps.count == 2) break;
  }
  if (taps.count == 2) taps.count = (kernel - 1 - taps.weight) / taps.weight_step + 1;
  return taps;
}

}  // namespace torchconv
