// Which direct kernel a convolution takes, and those for windows of any size.
#include "cuda/direct_any.cuh"

#include "cuda/direct_kernels.h"
#include "cuda/each_type.h"

namespace torchconv::cuda {
namespace {

template <class T, class Index>
void correlate_any(const at::Tensor& on, const DirectArgs<T, T, int64_t>& args) {
  const auto start = [&](const auto& body) { launch(on, body, body.items()); };
  if (!channels_adjoin(args)) return start(DirectAny<T, Index, false>(args));
  std::shared_ptr<void> weights;
  start(DirectAny<T, Index, true>(with_turned_weights(on, &weights, args)));
}

}  // namespace

template <class T>
void correlate(const at::Tensor& on, const DirectArgs<T, T, int64_t>& args) {
  if (!fits_in_32_bits(args)) return correlate_any<T, int64_t>(on, args);
  const bool done =
      channels_adjoin(args) ? correlate_channels(on, args) : correlate_columns(on, args);
  if (!done) correlate_any<T, int32_t>(on, args);
}

#define TORCHCONV_CORRELATE(T) \
  template void correlate(const at::Tensor&, const DirectArgs<T, T, int64_t>&);

TORCHCONV_EACH_FLOAT(TORCHCONV_CORRELATE)

}  // namespace torchconv::cuda
