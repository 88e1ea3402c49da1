// Products as Hopper kernels are told of them, how they are cut into tiles, and how operands are
// described to the copy engine.
#pragma once

#include <algorithm>

#include "cuda/plans/hopper_operands.h"
#include "cuda/plans/hopper_plan.h"
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

/// Whether factors of type T are split.
template <class T>
constexpr bool splits(Float32Math float32) {
  return std::is_same_v<T, float> && float32 == Float32Math::kTf32x3;
}

/// Whether a convolution can be counted.
inline bool hopper_counts(const Conv2dShape& s) {
  constexpr int64_t kMostPixels = int64_t(1) << 29;
  const int64_t in = s.in_h * s.in_w, out = s.out_h * s.out_w;
  const bool any =
      std::min({s.batch, s.in_channels, s.out_channels, s.kernel_h, s.kernel_w, in, out}) > 0;
  return any && s.groups == 1 && s.batch * std::max(in, out) < kMostPixels;
}

}  // namespace torchconv::cuda
