// The kernel of a convolution whose outputs are pooled as soon as they are there: a sum for each
// element of the window, one after the other, and the maximum of what they have been rounded to.
#pragma once

#include "cuda/product.cuh"

namespace torchconv::cuda {

template <class Math, bool rows_along>
struct PooledProductKernel {
  using Plain = ProductKernel<Math, 64, 64, rows_along, true, true>;
  using T = typename Plain::T;
  using Sum = typename Plain::Sum;
  using Warp = typename Plain::Warp;
  static constexpr int kThreads = Plain::kThreads, kBlocksAtOnce = 2;
  static constexpr int kSharedBytes = Plain::kSharedBytes;

  Plain plain;
  PooledWindow window;
  bool whole_offsets;  // whether offsets come in aligned runs of 16

  TORCHCONV_ANYWHERE void operator()(const Block& block) const {
    for (int64_t number = block.number; number < plain.order.tiles(); number += block.blocks) {
      const auto tile = plain.order(number);
      if (tile.exists) compute(block, tile);
    }
  }

 private:
  TORCHCONV_ANYWHERE void compute(const Block& block, const TileOrder::Tile& tile) const {
    const ProductArgs<T>& args = plain.args;
    const Steps batch = steps_of(args.batch, tile.item);
    const int first_row = int(tile.row * 64), first_column = int(tile.column * 64);
    typename Plain::RowLoader row_loader(args.rows, batch.rows, first_row, block.thread);
    typename Plain::ColumnLoader column_loader(args.columns, batch.columns, first_column,
                                               block.thread);
    const WarpPlace place(block, first_row, first_column, Plain::kWarpRows, Plain::kWarpColumns);
    const T* const bias = args.bias == nullptr ? nullptr : args.bias + batch.bias;
    Sum best[Warp::kSums];
    int offset[Warp::kSums];
#pragma unroll
    for (int i = 0; i < Warp::kSums; ++i) {
      best[i] = -std::numeric_limits<Sum>::infinity();
      offset[i] = -1;
    }
    Warp product;
    const int elements = window.height * window.width;
#pragma unroll 1
    for (int element = 0; element < elements; ++element) {
      const int down = element / window.width, right = element % window.width;
#pragma unroll
      for (int i = 0; i < Warp::kSums; ++i) product[i] = 0;
      plain.multiply_terms(block, row_loader, column_loader, 0, args.rows.sum.extent(),
                           times(window.down, down) + times(window.right, right), &product);
#pragma unroll
      for (int i = 0; i < Warp::kSums; ++i) {
        const int column = place.column + Warp::column(i, place.lane);
        if (!inside(place.row + Warp::row(i, place.lane), down, right)) continue;
        if (column >= args.columns.outer.extent()) continue;
        T rounded;
        narrow(bias == nullptr ? product[i] : product[i] + widen(bias[column * args.bias_step]),
               &rounded);
        const Sum value = widen(rounded);
        if (offset[i] < 0 || value > best[i] || value != value) {
          best[i] = value;
          offset[i] = element;
        }
      }
    }
    const typename Plain::Stage stage(block.shared, place.warp);
    ProductArgs<T> pooled = args;
    pooled.bias = nullptr;
#pragma unroll
    for (int i = 0; i < Warp::kSums; ++i) {
      const bool flat = window.relu && best[i] <= Sum(0);
      product[i] = flat ? Sum(0) : best[i];
      offset[i] = flat ? -1 : offset[i];
    }
    stage.write(product, place, pooled, args.out + batch.out, batch, plain.whole_runs);
    if (window.offsets != nullptr) {
#pragma unroll
      for (int i = 0; i < Warp::kSums; ++i) product[i] = Sum(offset[i]);
      stage.write(product, place, pooled, window.offsets + batch.out, batch, whole_offsets);
    }
    sync_block();
  }

  TORCHCONV_ANYWHERE static Place times(const Place& step, int n) {
    return {step.offset * n, step.row * n, step.column * n};
  }

  /// Whether an element of a row's window is an output of the convolution.
  TORCHCONV_ANYWHERE bool inside(int row, int down, int right) const {
    if (row >= window.outputs.extent()) return false;
    const Place first = window.outputs(row);
    return uint32_t(first.row + down * window.step_h) < uint32_t(window.out_h) &&
           uint32_t(first.column + right * window.step_w) < uint32_t(window.out_w);
  }
};

}  // namespace torchconv::cuda
