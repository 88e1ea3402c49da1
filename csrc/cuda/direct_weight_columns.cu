// The gradient of the weight with columns in the lanes: which kernel a window takes.
#include "cuda/direct_weight_columns.cuh"

#include "cuda/each_type.h"

namespace torchconv::cuda {

template <class T>
bool sum_weight_columns(const at::Tensor& on, const DirectArgs<T, const T, int64_t>& args,
                        WeightSums* sums) {
  bool fits = true;
  const bool known = with_stepping_window<T>(args.rows, args.cols, [&](auto window) {
    using W = decltype(window);
    using Body = DirectWeightColumns<T, W, 1>;
    const int64_t spread = Body::spread_of(args), columns = args.channels * spread;
    *sums = cut_into_chunks(on, args, Body::tiles_of(args), Body::kTerms, columns, spread,
                            args.group_source * columns);
    fits = sums->fit_in_32_bits();
    if (!fits) return;
    with_pack<T, W>(Body::common(args), [&](auto pack) {
      launch(on, DirectWeightColumns<T, W, decltype(pack)::value>(args, *sums),
             sums->chunks * args.group_source * columns);
    });
  });
  return known && fits;
}

#define TORCHCONV_SUM_WEIGHT(T)                                                               \
  template bool sum_weight_columns(const at::Tensor&, const DirectArgs<T, const T, int64_t>&, \
                                   WeightSums*);

TORCHCONV_EACH_FLOAT(TORCHCONV_SUM_WEIGHT)

}  // namespace torchconv::cuda
