// matmul on CUDA: which operands a product of tensors has.
#include "cuda/matmul.h"

#include <ATen/ops/empty.h>

#include "cuda/device.h"
#include "cuda/hopper.h"
#include "cuda/plans/choice.h"
#include "cuda/plans/float32_math.h"
#include "cuda/product.h"
#include "cuda/register.h"
#include "matmul_checks.h"
#include "typed.h"

namespace torchconv {
namespace {

constexpr int64_t kMostExtent = int64_t(1) << 29;  // of an index of a product

/// A tensor as a stack of matrices: strides of the batch's dimensions, 0 where it is broadcast.
c10::SmallVector<int64_t, 6> batch_strides(const at::Tensor& t, at::IntArrayRef batch) {
  c10::SmallVector<int64_t, 6> strides;
  const int64_t missing = static_cast<int64_t>(batch.size()) + 2 - t.dim();
  for (int64_t i = 0; i < static_cast<int64_t>(batch.size()); ++i) {
    const int64_t d = i - missing;
    strides.push_back(d < 0 || t.size(d) == 1 ? 0 : t.stride(d));
  }
  return strides;
}

/// Whether the dimensions before the last step through memory as one.
bool rows_join(const at::Tensor& a) {
  for (int64_t d = a.dim() - 3; d >= 0; --d) {
    if (a.stride(d) != a.size(d + 1) * a.stride(d + 1)) return false;
  }
  return true;
}

/// out[rows, columns] of each of up to three dimensions of matrices.
void multiply(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b,
              const std::optional<at::Tensor>& bias, const cuda::Batch& batch, int64_t rows) {
  const int64_t columns = out.size(-1), depth = a.size(-1);
  const int capability = cuda::gpu_of(out).capability;
  const cuda::Float32Math math = cuda::float32_math(cuda::tf32_allowed_for_matrices(), capability);
  if (cuda::prefers_wgmma(capability) && cuda::hopper_matmul(out, a, b, bias, batch, rows, math)) {
    return;
  }
  with_float_type(out.scalar_type(), [&](auto type) {
    using T = decltype(type);
    for (int64_t row = 0; row < rows; row += kMostExtent) {
      const int64_t some = std::min(rows - row, kMostExtent);
      cuda::ProductArgs<T> args;
      args.rows.data = data_of<const T>(a) + row * a.stride(-2);
      args.rows.outer = cuda::Axis({some, a.stride(-2)});
      args.rows.sum = cuda::Axis({depth, a.stride(-1)});
      args.columns.data = data_of<const T>(b);
      args.columns.outer = cuda::Axis({columns, b.stride(-1)});
      args.columns.sum = cuda::Axis({depth, b.stride(-2)});
      args.batch = batch;
      args.out = data_of<T>(out) + row * columns;
      args.out_rows = cuda::Axis({some, columns});
      args.out_columns = cuda::Axis({columns, 1});
      if (bias) {
        args.bias = data_of<const T>(*bias);
        args.bias_step = bias->stride(0);
      }
      cuda::compute_product(out, args, math, false);
    }
  });
}

}  // namespace

namespace cuda {

void matmul_into(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b,
                 const std::optional<at::Tensor>& bias) {
  if (out.numel() == 0) return;
  const char* op = bias ? "linear" : "matmul";
  TORCHCONV_EXPECT(a.size(-1) < kMostExtent && out.size(-1) < kMostExtent, op, a.sizes(),
                   "fewer than 2^29 columns and terms of a sum on a GPU");
  Batch batch;
  const int64_t rows = out.size(-2);
  if (b.dim() == 2 && rows_join(a)) {  // one matrix for all rows
    return multiply(out, a, b, bias, batch, out.numel() / out.size(-1));
  }
  const at::IntArrayRef sizes = out.sizes().slice(0, out.dim() - 2);
  const auto a_strides = batch_strides(a, sizes), b_strides = batch_strides(b, sizes);
  // Dimensions that step through both tensors as one become one; of more than three, the slowest
  // are gone through here.
  int digit = 3;
  int64_t dimension = static_cast<int64_t>(sizes.size()), out_step = rows * out.size(-1);
  for (; dimension > 0; --dimension) {
    const int64_t d = dimension - 1, size = sizes[d];
    if (size == 1) continue;
    const bool joins = digit < 3 && a_strides[d] == batch.extents[digit] * batch.rows[digit] &&
                       b_strides[d] == batch.extents[digit] * batch.columns[digit];
    if (!joins) {
      if (digit == 0) break;
      --digit;
      batch.rows[digit] = a_strides[d];
      batch.columns[digit] = b_strides[d];
      batch.out[digit] = out_step;
    }
    batch.extents[digit] *= size;
    out_step *= size;
  }
  if (dimension == 0) return multiply(out, a, b, bias, batch, rows);
  const auto item = [&](const at::Tensor& t, int64_t i) {
    if (t.dim() < out.dim()) return t;
    return t.select(0, t.size(0) == 1 ? 0 : i);
  };
  for (int64_t i = 0; i < out.size(0); ++i) matmul_into(out[i], item(a, i), item(b, i), bias);
}

}  // namespace cuda

namespace {

at::Tensor matmul_cuda(const at::Tensor& a, const at::Tensor& b) {
  at::Tensor out = at::empty(check_matmul<int64_t>(a, b), a.options());
  cuda::matmul_into(out, a, b, std::nullopt);
  return out;
}

}  // namespace

TORCHCONV_CUDA_LIBRARY(m) { m.impl("matmul", matmul_cuda); }

}  // namespace torchconv
