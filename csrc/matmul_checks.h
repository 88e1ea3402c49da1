// What matmul and linear accept, and the sizes of their results, on every device.
#pragma once

#include "checks.h"

namespace torchconv {

/// Sizes of a[..., rows, depth] · b[..., depth, cols] with broadcast leading dimensions.
template <class Int>
c10::SmallVector<Int, 6> check_matmul(const at::Tensor& a, const at::Tensor& b) {
  const char* op = "matmul";
  TORCHCONV_EXPECT(a.dim() >= 2, op, sizes_of<Int>(a), "a to have at least 2 dimensions");
  TORCHCONV_EXPECT(b.dim() >= 2, op, sizes_of<Int>(b), "b to have at least 2 dimensions");
  check_floating(op, a, "a");
  check_same(op, b, "b", a, "a");
  const IntList<Int> a_size = sizes_of<Int>(a), b_size = sizes_of<Int>(b);
  const size_t a_rank = a_size.size(), b_rank = b_size.size();
  TORCHCONV_EXPECT(is_equal(b_size[b_rank - 2], a_size[a_rank - 1]), op, b_size[b_rank - 2],
                   "b.size(-2) == ", a_size[a_rank - 1], " (a.size(-1))");

  const size_t batch_rank = std::max(a_rank, b_rank) - 2;
  c10::SmallVector<Int, 6> out;
  for (size_t i = 0; i < batch_rank; ++i) {
    const Int one(1);
    const Int& from_a = i + a_rank < batch_rank + 2 ? one : a_size[i + a_rank - batch_rank - 2];
    const Int& from_b = i + b_rank < batch_rank + 2 ? one : b_size[i + b_rank - batch_rank - 2];
    const bool a_repeats = is_known_one(from_a), b_repeats = is_known_one(from_b);
    TORCHCONV_EXPECT(a_repeats || b_repeats || is_equal(from_a, from_b), op, b_size,
                     "batch dimensions of b to broadcast with those of a, ", a_size);
    out.push_back(a_repeats ? from_b : from_a);
  }
  out.push_back(a_size[a_rank - 2]);
  out.push_back(b_size[b_rank - 1]);
  check_countable<Int>(op, out);
  return out;
}

/// Sizes of x[..., in_features] · weight[out_features, in_features]ᵀ + bias[out_features].
template <class Int>
c10::SmallVector<Int, 6> check_linear(const at::Tensor& x, const at::Tensor& weight,
                                      const std::optional<at::Tensor>& bias) {
  const char* op = "linear";
  TORCHCONV_EXPECT(x.dim() >= 1, op, sizes_of<Int>(x), "x to have at least 1 dimension");
  check_rank(op, weight, "weight", 2, "[out_features, in_features]");
  check_floating(op, x, "x");
  check_same(op, weight, "weight", x, "x");
  const IntList<Int> x_size = sizes_of<Int>(x), weight_size = sizes_of<Int>(weight);
  TORCHCONV_EXPECT(is_equal(x_size.back(), weight_size[1]), op, x_size.back(),
                   "x.size(-1) == ", weight_size[1], " (in_features, weight.size(1))");
  if (bias) {
    check_same(op, *bias, "bias", x, "x");
    check_shape<Int>(op, *bias, "bias", {weight_size[0]});
  }
  c10::SmallVector<Int, 6> out(x_size.begin(), x_size.end() - 1);
  out.push_back(weight_size[0]);
  check_countable<Int>(op, out);
  return out;
}

inline void check_linear_backward_bias(const at::Tensor& grad_out) {
  const char* op = "linear_backward_bias";
  TORCHCONV_EXPECT(grad_out.dim() >= 1, op, grad_out.sym_sizes(),
                   "grad_out to have at least 1 dimension");
  check_floating(op, grad_out, "grad_out");
}

}  // namespace torchconv
