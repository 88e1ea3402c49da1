// float32 as two TF32: tensor cores multiply these, and lose little.
#pragma once

#include "cuda/arithmetic.cuh"

namespace torchconv::cuda {

/// Two TF32 (float32 with 10 bits of mantissa) whose sum is a number, to its last bit but two.
///
/// What is not finite has its sign as the upper part and itself as the lower one. Then the sum of
/// the three products upper·lower, lower·upper and upper·upper is what the product should be:
/// infinity times zero is no number, times anything else infinity, another infinity included.
struct SplitFloat {
  float upper, lower;
};
TORCHCONV_ANYWHERE inline SplitFloat split(float x) {
  // Half a unit of what is kept rounds a number, but for those that would become infinite.
  constexpr uint32_t kHalfUnit = 0x1000, kIgnored = 0x1fff, kTooLarge = 0x7f7ff000;
  constexpr uint32_t kInfinity = 0x7f800000, kSign = 0x80000000, kOne = 0x3f800000;
  const auto bits = as_bits<uint32_t>(x);
  const uint32_t magnitude = bits & ~kSign;
  if (magnitude >= kInfinity) return {as_bits<float>((bits & kSign) | kOne), x};
  const uint32_t nearest = (magnitude < kTooLarge ? bits + kHalfUnit : bits) & ~kIgnored;
  const auto upper = as_bits<float>(nearest);
  const auto rest = as_bits<uint32_t>(x - upper);
  return {upper, as_bits<float>((rest + kHalfUnit) & ~kIgnored)};
}

}  // namespace torchconv::cuda
