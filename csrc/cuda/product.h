// Products of operands as kernels are told of them, and how they are started. Each kind of
// arithmetic is compiled by itself: product_<kind>.cu.
#pragma once

#include "cuda/device.h"
#include "cuda/kinds.h"
#include "cuda/operand.cuh"
#include "cuda/plans/product_plan.h"

namespace torchconv::cuda {

/// Matrices of a batch, or groups of a convolution: up to three digits, and what a step of each
/// adds to the places in the operands, the result and the bias.
struct Batch {
  int64_t extents[3] = {1, 1, 1};
  int64_t rows[3] = {}, columns[3] = {}, out[3] = {}, bias[3] = {};

  int64_t items() const { return extents[0] * extents[1] * extents[2]; }
};

/// A pooling window over the outputs of a convolution. Each of these is a product of its own, for
/// which the rows' operand is moved to another element of the window; a row of the result is what
/// the window has left of them.
struct PooledWindow {
  Axis outputs;                    // a row's window: where it begins in the convolution's output
  int32_t out_h = 0, out_w = 0;    // the size of that
  int32_t height = 0, width = 0;   // of the window, which has at most 255 elements
  int32_t step_h = 0, step_w = 0;  // between its elements, in the convolution's output
  Place down{}, right{};           // and in the convolution's input
  uint8_t* offsets = nullptr;      // of maxima, laid out as the result, if they are asked for
  bool relu = false;               // results up to zero become zero, their offsets -1
};

/// out[b, i, j] = Σ_k rows[b, i, k] · columns[b, j, k] + bias[b, j]
template <class T>
struct ProductArgs {
  Operand<T> rows, columns;
  Batch batch;
  T* out = nullptr;
  Axis out_rows, out_columns;
  bool out_along_rows = false;  // whether neighbours in memory are those in a column
  const T* bias = nullptr;
  int64_t bias_step = 0;

  ProductShape shape() const {
    return {batch.items(), rows.outer.extent(), columns.outer.extent(), rows.sum.extent()};
  }
};

/// Settles how the operands of a product are loaded.
template <class T>
void arrange(ProductArgs<T>* args) {
  const Batch& b = args->batch;
  const auto used = [&](const int64_t (&steps)[3]) {
    std::array<int64_t, 3> of{};
    for (int i = 0; i < 3; ++i) of[i] = b.extents[i] > 1 ? steps[i] : 0;
    return of;
  };
  arrange(&args->rows, used(b.rows));
  arrange(&args->columns, used(b.columns));
  if (!(args->rows.vectors && args->columns.vectors)) lie_along_sum(&args->columns);
}

/// The plan of a product whose operands are arranged.
template <class Kind, class T>
ProductPlan plan_of(const ProductArgs<T>& args, bool long_sum, const Device& device) {
  const bool vectors = args.rows.vectors && args.columns.vectors;
  // The memory of two large blocks; on other GPUs it is 2 KiB too small for 16-bit types.
  const int family = device.capability / 10;
  const bool much_shared = device.capability == 80 || family == 9 || family == 10;
  const bool large = Kind::kLarge && (much_shared || sizeof(T) == 4);
  const ProductTraits traits{int(sizeof(T)), vectors, large, Kind::kMostTerms, device.processors};
  return long_sum ? plan_long_product(args.shape(), traits) : plan_product(args.shape(), traits);
}

/// A sum that goes on from one product to the next: `sums` has room for all of a result, in the
/// type of sums. Only the last product writes its result.
struct Carry {
  void* sums = nullptr;
  bool first = true, last = true;
};

/// Computes a product by one kind of arithmetic. `partial` has room for the parts of its sum, if it
/// has several, or is carried.
template <class Math>
void launch_product(const at::Tensor& on, const ProductArgs<typename Math::Element>& args,
                    const ProductPlan& plan, typename Math::Sum* partial, const Carry& carry);

/// The same with pooling. The weights, which are the columns, lie along the sum.
template <class Math>
void launch_pooled_product(const at::Tensor& on, const ProductArgs<typename Math::Element>& args,
                           const PooledWindow& window);

/// Plans a product and computes it, on the device of a tensor. `float32` is heeded for float32
/// alone; a long sum is cut so as to keep the device busy (plan_long_product).
template <class T>
void compute_product(const at::Tensor& on, ProductArgs<T> args, Float32Math float32, bool long_sum,
                     const Carry& carry = {});

/// The same with pooling.
template <class T>
void compute_pooled_product(const at::Tensor& on, ProductArgs<T> args, Float32Math float32,
                            const PooledWindow& window);

}  // namespace torchconv::cuda
