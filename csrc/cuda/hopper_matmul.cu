// matmul and linear on Hopper GPUs.
#include "cuda/device.h"
#include "cuda/hopper.h"
#include "cuda/hopper_product.h"
#include "typed.h"

namespace torchconv::cuda {

bool hopper_matmul(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b,
                   const std::optional<at::Tensor>& bias, Float32Math float32) {
  const int64_t rows = out.size(0), columns = out.size(1), terms = a.size(1);
  if (!takes_hopper(out, float32) || std::min({rows, columns, terms}) == 0) return false;
  return with_hopper_type(out.scalar_type(), [&](auto type) {
    using T = decltype(type);
    ProductArgs<T> args;
    args.rows.outer = Axis({rows, 0});
    args.rows.sum = Axis({terms, 0});
    args.columns.outer = Axis({columns, 0});
    args.out = data_of<T>(out);
    args.out_rows = Axis({rows, out.stride(0)});
    args.out_columns = Axis({columns, out.stride(1)});
    args.out_along_rows = out.stride(0) == 1 && out.stride(1) != 1;
    if (bias) {
      args.bias = data_of<const T>(*bias);
      args.bias_step = bias->stride(0);
    }
    const int64_t row_tiles = ceil_div<int64_t>(rows, kTileRows);
    const SumSteps steps(1, 1, terms, kStepTerms<T>);
    HopperProduct<T> p(args, steps, row_tiles,
                       choose_hopper_columns(row_tiles, columns, gpu_of(out).processors));
    const auto matrix = [&](const at::Tensor& t, int64_t indices, int index, int term) {
      return LoadedMatrix{data_of<const T>(t), MapElementOf<T>::value, terms, indices, 1, 1,
                          t.stride(term),      t.stride(index),        0,     0};
    };
    if (!load_matrix(matrix(a, rows, 0, 1), kTileRows, &p.row_load)) return false;
    if (!load_matrix(matrix(b, columns, 1, 0), p.columns, &p.column_load)) return false;
    p.chunks = choose_hopper_chunks(args.shape(), row_tiles * p.column_tiles(), steps.all, false);
    launch_hopper(out, p);
    return true;
  });
}

}  // namespace torchconv::cuda
