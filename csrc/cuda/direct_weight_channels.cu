// The gradient of the weight with channels in the lanes: which kernel a window takes.
#include "cuda/direct_weight_channels.cuh"

#include "cuda/each_type.h"

namespace torchconv::cuda {
namespace {

template <class Body, class T>
bool run(const at::Tensor& on, const DirectArgs<T, const T, int64_t>& args, WeightSums* sums) {
  const int64_t threads = args.group_source * (args.channels / Body::kLanes);
  *sums = cut_into_chunks(on, args, Body::tiles_of(args), Body::kTerms, args.channels, 1, threads);
  if (!sums->fit_in_32_bits()) return false;
  launch(on, Body(args, *sums), sums->chunks * threads);
  return true;
}

}  // namespace

template <class T>
bool sum_weight_channels(const at::Tensor& on, const DirectArgs<T, const T, int64_t>& args,
                         WeightSums* sums) {
  bool fits = true;
  const bool known = with_stepping_window<T>(args.rows, args.cols, [&](auto window) {
    using W = decltype(window);
    using Vectors = DirectWeightChannels<T, W, true>;
    const bool whole = args.depthwise() &&
                       whole_vectors(args.source, args.channels, Vectors::kLanes) &&
                       whole_vectors(args.dest, args.channels, Vectors::kLanes);
    fits = whole ? run<Vectors>(on, args, sums)
                 : run<DirectWeightChannels<T, W, false>>(on, args, sums);
  });
  return known && fits;
}

#define TORCHCONV_SUM_WEIGHT(T)                                                                \
  template bool sum_weight_channels(const at::Tensor&, const DirectArgs<T, const T, int64_t>&, \
                                    WeightSums*);

TORCHCONV_EACH_FLOAT(TORCHCONV_SUM_WEIGHT)

}  // namespace torchconv::cuda
