// Which Hopper kernel a product takes, for one type: included by hopper_<type>.cu.
#pragma once

#include "cuda/device.h"
#include "cuda/hopper_product.cuh"
#include "cuda/hopper_product.h"
#include "cuda/product_launch.cuh"

#include <ATen/ops/empty.h>

#include "typed.h"

namespace torchconv::cuda {

inline bool lies_along_sum(const TileLoad& load) {
  return load.kind == LoadKind::kLines || load.kind == LoadKind::kPixels ||
         load.kind == LoadKind::kSumPlanes;
}

template <class T, int columns, bool rows_along, bool columns_along>
void launch_hopper_tiles(const at::Tensor& on, const HopperProduct<T>& p, float* partial) {
  using Kernel = HopperKernel<T, columns, rows_along, columns_along>;
  const ProductShape tiled{1, p.row_tiles * kTileRows, p.column_tiles() * columns, 0};
  const TileOrder order(tiled, {kTileRows, columns}, p.chunks);
  const auto chunk_steps = int32_t(ceil_div<int64_t>(p.steps.all, p.chunks));
  const int64_t sums = int64_t(p.args.out_rows.extent()) * p.args.out_columns.extent();
  const Kernel kernel{p.row_load, p.column_load, p.args,  p.result_rows, order,
                      p.steps,    chunk_steps,   partial, sums};
  const int64_t at_once = Kernel::kBlocksAtOnce * gpu_of(on).processors;
  launch_blocks(on, kernel, std::min(order.tiles(), at_once));
}

template <class T>
void launch_hopper_whole(const at::Tensor& on, const HopperProduct<T>& p, float* partial) {
  const auto launch_one = [&](auto rows_along, auto columns_along) {
    constexpr bool kRows = rows_along.value, kColumns = columns_along.value;
    if constexpr (sizeof(T) == 2 || (kRows && kColumns)) {
      const auto launch_columns = [&](auto columns) {
        launch_hopper_tiles<T, columns.value, kRows, kColumns>(on, p, partial);
      };
      if (p.columns == 64) return launch_columns(std::integral_constant<int, 64>());
      if (p.columns == 128) return launch_columns(std::integral_constant<int, 128>());
      launch_columns(std::integral_constant<int, 256>());
    }
  };
  const bool rows_along = lies_along_sum(p.row_load), columns_along = lies_along_sum(p.column_load);
  using Along = std::true_type;
  using Across = std::false_type;
  if (rows_along) {
    columns_along ? launch_one(Along(), Along()) : launch_one(Along(), Across());
  } else {
    columns_along ? launch_one(Across(), Along()) : launch_one(Across(), Across());
  }
}

template <class T>
void launch_hopper(const at::Tensor& on, const HopperProduct<T>& p) {
  if (p.chunks == 1) return launch_hopper_whole<T>(on, p, nullptr);
  const ProductShape s{1, p.args.out_rows.extent(), p.args.out_columns.extent(), 0};
  const int64_t all = s.rows * s.columns;
  const at::Tensor partial =
      at::empty({p.chunks * all * int64_t(sizeof(float))}, on.options().dtype(at::kByte));
  launch_hopper_whole(on, p, data_of<float>(partial));
  const Divider<int64_t> by_column(s.columns), by_row(s.rows);
  const AddChunks<T> body{p.args, s, p.chunks, data_of<float>(partial), Carry{}, by_column, by_row};
  launch(on, body, all);
}

}  // namespace torchconv::cuda
