// Which algorithm computes a convolution on a GPU, and what none can compute.
#include "checks.h"
#include "cuda/conv2d.h"
#include "cuda/direct.h"

namespace torchconv::cuda {

void check_countable_on_gpu(const char* op, const Conv2dShape& s) {
  const auto check = [&](const char* what, int64_t size) {
    TORCHCONV_EXPECT(size < kMostExtent, op, size, what, " to be less than 2^29 on a GPU");
  };
  // Each is small enough, before any is multiplied.
  check("the padded height", s.in_h + s.pad_top + s.pad_bottom);
  check("the padded width", s.in_w + s.pad_left + s.pad_right);
  for (const int64_t stride : {s.stride_h, s.stride_w}) check("stride", stride);
  for (const int64_t dilation : {s.dilation_h, s.dilation_w}) check("dilation", dilation);
  check("pixels of an image", std::max(s.in_h * s.in_w, s.out_h * s.out_w));
  check("channels", std::max(s.in_channels, s.out_channels));
  const int64_t taps = checked_mul(op, s.kernel_h, s.kernel_w);
  check("terms of a sum",
        checked_mul(op, std::max(s.in_channels, s.out_channels) / s.groups, taps));
}

Algorithm algorithm_of(const Conv2dShape& s) {
  const Choice& choice = algorithm_choice();
  const auto forced = [&](Algorithm algorithm) {
    return choice.forced() && choice.as<Algorithm>() == algorithm;
  };
  const bool direct = !forced(Algorithm::kProduct) &&
                      (takes_direct(s) || (forced(Algorithm::kDirect) && can_take_direct(s)));
  return direct ? Algorithm::kDirect : Algorithm::kProduct;
}

}  // namespace torchconv::cuda
