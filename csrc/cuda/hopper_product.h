// Products as Hopper kernels are told of them, how they are cut into tiles, and how operands are
// described to the copy engine.
#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>

#include "cuda/hopper_operands.h"
#include "cuda/hopper_plan.h"
#include "cuda/product.h"

namespace torchconv::cuda {

template <class T>
struct HopperProduct {
  HopperProduct(ProductArgs<T> args_, SumSteps steps_, int64_t row_tiles_, bool split_)
      : args(args_),
        steps(steps_),
        row_tiles(row_tiles_),
        split(split_),
        cut(cut_for_hopper(shape())) {}

  ProductArgs<T> args;  // the result and the bias, and the sizes
  SumSteps steps;
  int64_t row_tiles;
  bool split;  // whether operands have upper and lower parts of float32
  HopperCut cut;
  TilePlan row_load, column_load;
  ResultRows result_rows;

  HopperShape shape() const {
    return {args.batch.items(),
            args.out_rows.extent(),
            row_tiles,
            args.out_columns.extent(),
            args.rows.sum.extent(),
            steps.all,
            split};
  }
  int64_t column_tiles() const { return ceil_div<int64_t>(shape().columns, cut.columns); }
};

/// Computes a product, or a part of one.
template <class T>
void launch_hopper(const at::Tensor& on, const HopperProduct<T>& product, const Carry& carry = {});

/// Whether all that it takes is there: a device of compute capability 9.0, a part for sm_90a in the
/// module, and a driver that writes tensor maps.
bool has_hopper_code(const at::Tensor& on);

/// Whether there are kernels for a tensor's device and type.
inline bool takes_hopper(const at::Tensor& on, Float32Math float32) {
  const at::ScalarType type = on.scalar_type();
  if (type == at::kDouble || (type == at::kFloat && float32 == Float32Math::kFma)) return false;
  return has_hopper_code(on);
}
/// Whether factors of type T are split.
template <class T>
constexpr bool splits(Float32Math float32) {
  return std::is_same_v<T, float> && float32 == Float32Math::kTf32x3;
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

/// Whether a convolution can be counted.
inline bool hopper_counts(const Conv2dShape& s) {
  constexpr int64_t kMostPixels = int64_t(1) << 29;
  const int64_t in = s.in_h * s.in_w, out = s.out_h * s.out_w;
  const bool any =
      std::min({s.batch, s.in_channels, s.out_channels, s.kernel_h, s.kernel_w, in, out}) > 0;
  return any && s.groups == 1 && s.batch * std::max(in, out) < kMostPixels;
}
inline bool takes_hopper(const at::Tensor& on, const Conv2dShape& s, Float32Math float32) {
  return hopper_counts(s) && takes_hopper(on, float32);
}

/// Calls fn(T{}) with a type that there are kernels for.
template <class Fn>
bool with_hopper_type(at::ScalarType type, const Fn& fn) {
  if (type == at::kBFloat16) return fn(bf16{});
  return type == at::kHalf ? fn(f16{}) : fn(float{});
}

}  // namespace torchconv::cuda
