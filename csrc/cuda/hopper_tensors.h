// Which tensors Hopper kernels take, and parts of these.
#pragma once

#include <ATen/core/Tensor.h>

#include "cuda/hopper_product.h"
#include "typed.h"

namespace torchconv::cuda {

/// Whether there are kernels for a tensor's device and type.
inline bool takes_hopper(const at::Tensor& on, Float32Math float32) {
  const at::ScalarType type = on.scalar_type();
  if (type == at::kDouble || (type == at::kFloat && float32 == Float32Math::kFma)) return false;
  return has_hopper_code(on);
}
inline bool takes_hopper(const at::Tensor& on, const Conv2dShape& s, Float32Math float32) {
  return hopper_counts(s) && takes_hopper(on, float32);
}

/// The groups of a convolution, one after the other, if they are few.
struct ConvGroups {
  static constexpr int64_t kMost = 8;

  int64_t count;
  Conv2dShape one;

  explicit ConvGroups(const Conv2dShape& s) : count(s.groups), one(s) {
    one.in_channels = s.group_in_channels();
    one.out_channels = s.group_out_channels();
    one.groups = 1;
  }

  /// A group's part of a tensor that has input, or output, channels in a dimension.
  at::Tensor ins(const at::Tensor& t, int64_t group) const {
    return t.narrow(1, group * one.in_channels, one.in_channels);
  }
  at::Tensor outs(const at::Tensor& t, int64_t group, int64_t dimension = 1) const {
    return t.narrow(dimension, group * one.out_channels, one.out_channels);
  }

  /// Calls fn(group) until it returns false. Returns whether it never did.
  template <class Fn>
  bool all(const Fn& fn) const {
    if (count > kMost) return false;
    for (int64_t group = 0; group < count; ++group) {
      if (!fn(group)) return false;
    }
    return true;
  }
};

/// Calls fn(T{}) with a type that there are kernels for.
template <class Fn>
bool with_hopper_type(at::ScalarType type, const Fn& fn) {
  if (type == at::kBFloat16) return fn(bf16{});
  return type == at::kHalf ? fn(f16{}) : fn(float{});
}

}  // namespace torchconv::cuda
