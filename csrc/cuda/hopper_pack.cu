// Weights in an order that the copy engine of a Hopper GPU can read.
#include "cuda/hopper_conv2d.h"
#include "cuda/launch.cuh"
#include "cuda/split_float.cuh"

namespace torchconv::cuda {
namespace {

/// Copies weights whose terms are no neighbours, or that are to be split, to [tap row, tap column,
/// channel, source channel], with zeros behind the last source channel.
template <class T, class Index>
struct PackWeights {
  T* out;
  int64_t lower;  // from the upper parts of numbers to the lower ones; 0: they are whole
  View4<const T> weight;
  TapLine rows, columns;
  int64_t source_channels;
  Split4<Index> places;

  TORCHCONV_ANYWHERE void operator()(int64_t item) const {
    const auto place = places(item);
    const int64_t row = rows.weight + place.first * rows.weight_step;
    const int64_t column = columns.weight + place.second * columns.weight_step;
    const int64_t offset = row * weight.h + column * weight.w + int64_t(place.third) * weight.n;
    T element{};
    if (place.last < source_channels) element = weight.data[offset + place.last * weight.c];
    if constexpr (std::is_same_v<T, float>) {
      if (lower != 0) {
        const SplitFloat both = split(element);
        out[item] = both.upper;
        out[item + lower] = both.lower;
        return;
      }
    }
    out[item] = element;
  }
};

}  // namespace

template <class T>
std::shared_ptr<void> pack_weights(const at::Tensor& on, const HopperCorrelation<T>& part) {
  const auto packed = scratch_on(on, part.packed() * int64_t(sizeof(T)));
  const Correlation<T>& c = part.correlation();
  const auto start = [&](auto index) {
    const Split4<decltype(index)> places(c.columns.count, c.channels, part.line());
    const int64_t all = places.items(c.rows.count);
    const PackWeights<T, decltype(index)> body{static_cast<T*>(packed.get()),
                                               part.split() ? all : 0,
                                               c.weight,
                                               c.rows,
                                               c.columns,
                                               c.source_channels,
                                               places};
    launch(on, body, all);
  };
  part.packed() <= INT32_MAX ? start(int32_t()) : start(int64_t());
  return packed;
}

template std::shared_ptr<void> pack_weights(const at::Tensor&, const HopperCorrelation<float>&);
template std::shared_ptr<void> pack_weights(const at::Tensor&, const HopperCorrelation<bf16>&);
template std::shared_ptr<void> pack_weights(const at::Tensor&, const HopperCorrelation<f16>&);

}  // namespace torchconv::cuda
