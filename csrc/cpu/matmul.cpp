// The CPU entries of matmul: checks, results, threads, then a kernel.
#include "cpu/matmul.h"

#include <torch/library.h>

#include "cpu/dispatch.h"
#include "cpu/parallel.h"
#include "matmul_checks.h"

namespace torchconv {
namespace {

/// Whether the dimensions before the last step through memory as one.
bool rows_join(const at::Tensor& a) {
  for (int64_t d = a.dim() - 3; d >= 0; --d) {
    if (a.stride(d) != a.size(d + 1) * a.stride(d + 1)) return false;
  }
  return true;
}

/// Offset of each batch item's matrix: the strides of `tensor`, broadcast to `batch`. No batch: 0.
class BatchOffsets {
 public:
  BatchOffsets(const at::Tensor& tensor, at::IntArrayRef batch)
      : sizes_(batch), strides_(batch.size()) {
    const int64_t missing =
        static_cast<int64_t>(batch.size()) + 2 - tensor.dim();  // < 0 if no batch
    for (size_t i = 0; i < batch.size(); ++i) {
      const int64_t d = static_cast<int64_t>(i) - missing;
      strides_[i] = d < 0 || tensor.size(d) == 1 ? 0 : tensor.stride(d);
    }
  }
  int64_t operator[](int64_t item) const {
    int64_t offset = 0;
    for (size_t i = sizes_.size(); i-- > 0; item /= sizes_[i]) {
      offset += item % sizes_[i] * strides_[i];
    }
    return offset;
  }

 private:
  at::IntArrayRef sizes_;
  c10::SmallVector<int64_t, 6> strides_;
};

/// outᵀ = bᵀ · aᵀ
template <class T>
MatMulArgs<T> transposed(const MatMulArgs<T>& args) {
  MatMulArgs<T> swapped = args;
  std::swap(swapped.rows, swapped.cols);
  swapped.a = args.b;
  swapped.a_row = args.b_col;
  swapped.a_col = args.b_row;
  swapped.b = args.a;
  swapped.b_row = args.a_col;
  swapped.b_col = args.a_row;
  swapped.bias_of_rows = !args.bias_of_rows;
  std::swap(swapped.out_row, swapped.out_col);
  return swapped;
}

/// Whether b's columns are contiguous along the sum and so few rows reuse them that packing b would
/// show; then b is read where it lies, as the rows of the transposed product.
template <class T>
bool few_rows_meet_contiguous_sums(const MatMulArgs<T>& args) {
  return args.b_row == 1 && args.rows <= 128 && args.cols > args.rows;
}

at::Tensor matmul_cpu(const at::Tensor& a, const at::Tensor& b) {
  at::Tensor out = empty_result(check_matmul<int64_t>(a, b), a.options());
  matmul_into(out, a, b, std::nullopt);
  return out;
}

}  // namespace

void matmul_into(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b,
                 const std::optional<at::Tensor>& bias) {
  if (out.numel() == 0) return;
  at::IntArrayRef batch = out.sizes().slice(0, out.dim() - 2);
  const int64_t cols = out.size(-1), depth = a.size(-1);
  int64_t rows = out.size(-2), items = out.numel() / (rows * cols);
  // One matrix for the whole batch of rows needs one product.
  if (b.dim() == 2 && rows_join(a)) {
    rows *= items;
    items = 1;
    batch = {};
  }
  const BatchOffsets a_offsets(a, batch);
  const BatchOffsets b_offsets(b, batch);

  with_float_type(out.scalar_type(), [&](auto type) {
    using T = decltype(type);
    auto* const kernel = kernels().of(type).products.matmul;
    MatMulArgs<T> whole{rows,
                        cols,
                        depth,
                        data_of<const T>(a),
                        a.stride(-2),
                        a.stride(-1),
                        data_of<const T>(b),
                        b.stride(-2),
                        b.stride(-1),
                        bias ? data_of<const T>(*bias) : nullptr,
                        bias ? bias->stride(0) : 0,
                        false,
                        data_of<T>(out),
                        cols,
                        1};
    const bool swapped = few_rows_meet_contiguous_sums(whole);
    if (swapped) whole = transposed(whole);
    const MatMulPlan plan = plan_matmul({whole.rows, whole.cols, depth, whole.a_row, whole.a_col,
                                         whole.b_row, whole.b_col, whole.bias_of_rows},
                                        machine<T>());
    const double work = static_cast<double>(rows) * cols * depth / plan.tiles;
    parallel_with_scratch(
        items * plan.tiles, work, plan.scratch_bytes,
        [&](int64_t begin, int64_t end, void* scratch) {
          while (begin < end) {
            const int64_t item = begin / plan.tiles, last = std::min(end, (item + 1) * plan.tiles);
            MatMulArgs<T> args = whole;
            args.a += (swapped ? b_offsets : a_offsets)[item];
            args.b += (swapped ? a_offsets : b_offsets)[item];
            args.out += item * rows * cols;
            kernel(args, plan, begin - item * plan.tiles, last - item * plan.tiles, scratch);
            begin = last;
          }
        });
  });
}

TORCH_LIBRARY_IMPL(torchconv, CPU, m) { m.impl("matmul", matmul_cpu); }

}  // namespace torchconv
