// Which direct kernel with channels in its lanes a window takes.
#include "cuda/direct_channels.cuh"

#include "cuda/direct_kernels.h"
#include "cuda/each_type.h"

namespace torchconv::cuda {

template <class T>
bool correlate_channels(const at::Tensor& on, const DirectArgs<T, T, int64_t>& args) {
  return with_any_window<T>(args.rows, args.cols, [&](auto window) {
    using W = decltype(window);
    using Vectors = DirectChannels<T, W, true>;
    std::shared_ptr<void> weights;
    const auto turned = with_turned_weights(on, &weights, args);
    const auto run = [&](const auto& body) { launch(on, body, body.items()); };
    if (args.depthwise() && whole_vectors(args.source, args.channels, Vectors::kLanes) &&
        whole_vectors(args.dest, args.channels, Vectors::kLanes)) {
      run(Vectors(turned));
    } else {
      run(DirectChannels<T, W, false>(turned));
    }
  });
}

#define TORCHCONV_CORRELATE(T) \
  template bool correlate_channels(const at::Tensor&, const DirectArgs<T, T, int64_t>&);

TORCHCONV_EACH_FLOAT(TORCHCONV_CORRELATE)

}  // namespace torchconv::cuda
