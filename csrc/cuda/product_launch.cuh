// Which kernel a product takes, for one kind of arithmetic: included by product_<kind>.cu.
#pragma once

#include "cuda/product_pooled.cuh"

namespace torchconv::cuda {

/// Adds the parts of sums in order, to what is carried on from earlier ones; a few at a time, so
/// that their errors stay few, too.
template <class T, class Index>
struct AddChunks {
  using Sum = Accumulator<T>;
  static constexpr int kAtATime = 16;

  ProductArgs<T> args;
  RealRows real;
  int64_t chunks, all;  // parts; sums of each
  const Sum* partial;
  Carry carry;
  Divider<Index> by_column, by_row;

  TORCHCONV_ANYWHERE void operator()(int64_t number) const {
    Index item = Index(number);
    const Index column = by_column.divide(&item), row = by_row.divide(&item);
    if (!real(int32_t(row))) return;
    Sum* const carried = static_cast<Sum*>(carry.sums) + number;
    Sum sum = carry.first ? 0 : *carried;
    for (int64_t chunk = 0; chunk < chunks; chunk += kAtATime) {
      Sum some = 0;
#pragma unroll
      for (int i = 0; i < kAtATime; ++i) {
        if (chunk + i < chunks) some += partial[(chunk + i) * all + number];
      }
      sum += some;
    }
    if (!carry.last) {
      *carried = sum;
      return;
    }
    const Steps batch = steps_of(args.batch, item);
    if (args.bias != nullptr) sum += widen(args.bias[batch.bias + column * args.bias_step]);
    narrow(sum, args.out + batch.out + args.out_rows(int32_t(row)).offset +
                    args.out_columns(int32_t(column)).offset);
  }
};

/// Adds so many parts of the sums of a product, which lie densely.
template <class T>
void add_chunks(const at::Tensor& on, const ProductArgs<T>& args, const ProductShape& s,
                const RealRows& real, int64_t chunks, const Accumulator<T>* partial,
                const Carry& carry) {
  const int64_t all = s.items * s.rows * s.columns;
  const auto start = [&](auto index) {
    using Index = decltype(index);
    const Divider<Index> by_column(Index(s.columns)), by_row(Index(s.rows));
    launch(on, AddChunks<T, Index>{args, real, chunks, all, partial, carry, by_column, by_row},
           all);
  };
  all <= INT32_MAX ? start(int32_t()) : start(int64_t());
}

/// Whether results that lie as those of a product come in aligned runs of 16 bytes.
template <class T>
bool comes_in_whole_runs(const ProductArgs<T>& args, const void* out, int element_bytes) {
  std::array<int64_t, 3> steps{};
  for (int i = 0; i < 3; ++i) steps[i] = args.batch.extents[i] > 1 ? args.batch.out[i] : 0;
  return in_whole_runs(out, args.out_rows, args.out_columns, args.out_along_rows, steps,
                       kVectorBytes / element_bytes);
}

template <class Math, int rows, int columns, bool rows_along, bool columns_along,
          bool elements = false>
void launch_kernel(const at::Tensor& on, const ProductArgs<typename Math::Element>& args,
                   const ProductPlan& plan, int64_t chunk_step) {
  const TileOrder order(args.shape(), {rows, columns}, plan.chunks);
  const int bytes = int(chunk_step == 0 ? sizeof(*args.out) : sizeof(typename Math::Sum));
  const bool whole_runs =
      comes_in_whole_runs(args, args.out, bytes) && chunk_step * bytes % kVectorBytes == 0;
  const ProductKernel<Math, rows, columns, rows_along, columns_along, elements> kernel{
      args, order, int32_t(plan.chunk_terms), chunk_step, whole_runs};
  launch_blocks(on, kernel, order.tiles());
}

/// Of operands that are loaded by vectors, along the sum or not.
template <class Math, int rows, int columns>
void launch_vectors(const at::Tensor& on, const ProductArgs<typename Math::Element>& args,
                    const ProductPlan& plan, int64_t chunk_step) {
  if (args.rows.along_sum) {
    args.columns.along_sum
        ? launch_kernel<Math, rows, columns, true, true>(on, args, plan, chunk_step)
        : launch_kernel<Math, rows, columns, true, false>(on, args, plan, chunk_step);
  } else {
    args.columns.along_sum
        ? launch_kernel<Math, rows, columns, false, true>(on, args, plan, chunk_step)
        : launch_kernel<Math, rows, columns, false, false>(on, args, plan, chunk_step);
  }
}

template <class Math>
void launch_whole(const at::Tensor& on, const ProductArgs<typename Math::Element>& args,
                  const ProductPlan& plan, int64_t chunk_step) {
  if (!(args.rows.vectors && args.columns.vectors)) {
    return args.rows.along_sum
               ? launch_kernel<Math, 128, 64, true, true, true>(on, args, plan, chunk_step)
               : launch_kernel<Math, 128, 64, false, true, true>(on, args, plan, chunk_step);
  }
  if constexpr (Math::kLarge) {
    if (plan.tile == TileSize::k128x128) {
      return launch_vectors<Math, 128, 128>(on, args, plan, chunk_step);
    }
  }
  plan.tile == TileSize::k128x64 ? launch_vectors<Math, 128, 64>(on, args, plan, chunk_step)
                                 : launch_vectors<Math, 64, 64>(on, args, plan, chunk_step);
}

/// What leads from an item, row and column of parts of a sum to a dense place.
template <class T>
ProductArgs<T> dense(ProductArgs<T> args, void* partial) {
  const ProductShape s = args.shape();
  args.out = static_cast<T*>(partial);
  args.out_rows = Axis({s.rows, s.columns, 0, 0});
  args.out_columns = Axis({s.columns, 1, 0, 0});
  args.out_along_rows = false;
  args.bias = nullptr;
  for (int i = 2, step = 1; i >= 0; step *= int(args.batch.extents[i--])) {
    args.batch.out[i] = step * s.rows * s.columns;
  }
  return args;
}

template <class Math>
void launch_product(const at::Tensor& on, const ProductArgs<typename Math::Element>& args,
                    const ProductPlan& plan, typename Math::Sum* partial, const Carry& carry) {
  const ProductShape s = args.shape();
  const int64_t all = s.items * s.rows * s.columns;
  if (partial == nullptr) return launch_whole<Math>(on, args, plan, 0);
  launch_whole<Math>(on, dense(args, partial), plan, all);
  add_chunks<typename Math::Element>(on, args, s, {}, plan.chunks, partial, carry);
}

template <class Math>
void launch_pooled_product(const at::Tensor& on, const ProductArgs<typename Math::Element>& args,
                           const PooledWindow& window) {
  const auto launch_one = [&](auto rows_along) {
    using Kernel = PooledProductKernel<Math, rows_along.value>;
    const TileOrder order(args.shape(), {64, 64}, 1);
    const bool whole_runs = comes_in_whole_runs(args, args.out, int(sizeof(*args.out)));
    const Kernel kernel{{args, order, args.rows.sum.extent(), 0, whole_runs},
                        window,
                        comes_in_whole_runs(args, window.offsets, 1)};
    launch_blocks(on, kernel, order.tiles());
  };
  args.rows.along_sum ? launch_one(std::true_type()) : launch_one(std::false_type());
}

#define TORCHCONV_PRODUCTS(Math)                                                                  \
  template void launch_product<Math>(const at::Tensor&, const ProductArgs<Math::Element>&,        \
                                     const ProductPlan&, Math::Sum*, const Carry&);               \
  template void launch_pooled_product<Math>(const at::Tensor&, const ProductArgs<Math::Element>&, \
                                            const PooledWindow&)

}  // namespace torchconv::cuda
