// Which Hopper kernel a product takes, for one type: included by hopper_<type>.cu.
#pragma once

#include "cuda/device.h"
#include "cuda/hopper_product.cuh"
#include "cuda/hopper_product.h"
#include "cuda/product_launch.cuh"

namespace torchconv::cuda {

inline bool lies_along_sum(const TilePlan& load) {
  return load.kind == LoadKind::kLines || load.kind == LoadKind::kPixels ||
         load.kind == LoadKind::kSumPlanes;
}

template <class T, int columns, bool rows_along, bool columns_along, bool split = false>
void launch_hopper_tiles(const at::Tensor& on, const HopperProduct<T>& p, float* partial) {
  using Kernel = HopperKernel<T, columns, rows_along, columns_along, split>;
  const HopperShape shape = p.shape();
  const ProductShape tiled{shape.items, p.row_tiles * kTileRows, p.column_tiles() * columns, 0};
  const TileOrder order(tiled, {kTileRows, columns}, p.cut.chunks);
  const auto chunk_steps = int32_t(ceil_div<int64_t>(p.steps.all, p.cut.chunks));
  const int64_t sums = shape.rows * shape.columns;
  ResultRows result_rows = p.result_rows;
  result_rows.whole_runs = comes_in_whole_runs(p.args, p.args.out, int(sizeof(T))) &&
                           result_rows.planes.columns * int(sizeof(T)) % kVectorBytes == 0 &&
                           (result_rows.real.of.divisor() == 1 ||
                            result_rows.real.real * int(sizeof(T)) % kVectorBytes == 0);
  const Kernel kernel{TileLoad(p.row_load),
                      TileLoad(p.column_load),
                      p.args,
                      result_rows,
                      order,
                      p.steps,
                      chunk_steps,
                      partial,
                      shape.items * sums,
                      sums};
  const int64_t at_once = Kernel::kBlocksAtOnce * gpu_of(on).processors;
  launch_blocks(on, kernel, std::min(order.tiles(), at_once));
}

template <class T>
void launch_hopper_whole(const at::Tensor& on, const HopperProduct<T>& p, float* partial) {
  if constexpr (sizeof(T) == 4) {
    if (p.split) {
      return p.cut.columns == 64 ? launch_hopper_tiles<T, 64, true, true, true>(on, p, partial)
                                 : launch_hopper_tiles<T, 128, true, true, true>(on, p, partial);
    }
  }
  const auto launch_one = [&](auto rows_along, auto columns_along) {
    constexpr bool kRows = rows_along.value, kColumns = columns_along.value;
    if constexpr (sizeof(T) == 2 || (kRows && kColumns)) {
      const auto launch_columns = [&](auto columns) {
        launch_hopper_tiles<T, columns.value, kRows, kColumns>(on, p, partial);
      };
      if (p.cut.columns == 64) return launch_columns(std::integral_constant<int, 64>());
      if (p.cut.columns == 128) return launch_columns(std::integral_constant<int, 128>());
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
void launch_hopper(const at::Tensor& on, const HopperProduct<T>& p, const Carry& carry) {
  if (p.cut.chunks == 1 && carry.sums == nullptr) return launch_hopper_whole<T>(on, p, nullptr);
  const HopperShape h = p.shape();
  const ProductShape s{h.items, h.rows, h.columns, 0};
  const int64_t all = s.items * s.rows * s.columns;
  const auto scratch = scratch_on(on, p.cut.chunks * all * int64_t(sizeof(float)));
  float* const partial = static_cast<float*>(scratch.get());
  launch_hopper_whole(on, p, partial);
  add_chunks<T>(on, p.args, s, p.result_rows.real, p.cut.chunks, partial, carry);
}

}  // namespace torchconv::cuda
