#include "cuda/relu_pooled.h"

#include "cuda/arithmetic.cuh"
#include "cuda/each_type.h"
#include "cuda/launch.cuh"

namespace torchconv::cuda {
namespace {

template <class T, class Offset>
struct ReluPooled {
  T* out;
  Offset* offsets;  // may be nullptr

  TORCHCONV_ANYWHERE void operator()(int64_t i) const {
    if (!(widen(out[i]) <= Accumulator<T>(0))) return;
    out[i] = T{};
    if (offsets != nullptr) offsets[i] = Offset(-1);
  }
};

}  // namespace

template <class T, class Offset>
void launch_relu_pooled(const at::Tensor& on, T* out, Offset* offsets, int64_t elements) {
  launch(on, ReluPooled<T, Offset>{out, offsets}, elements);
}

#define TORCHCONV_RELU_POOLED(T)                                              \
  template void launch_relu_pooled(const at::Tensor&, T*, uint8_t*, int64_t); \
  template void launch_relu_pooled(const at::Tensor&, T*, int32_t*, int64_t);

TORCHCONV_EACH_FLOAT(TORCHCONV_RELU_POOLED)

}  // namespace torchconv::cuda
