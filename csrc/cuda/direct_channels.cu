// Which direct kernel with channels in its lanes a window takes.
#include "cuda/direct_channels.cuh"

#include "cuda/direct_kernels.cuh"

namespace torchconv::cuda {

template <class T>
bool correlate_channels(const at::Tensor& on, const DirectArgs<T, T, int64_t>& args) {
  return with_any_window<T>(args.rows, args.cols, [&](auto window) {
    using W = decltype(window);
    using Vectors = DirectChannels<T, W, true>;
    at::Tensor weights;
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

template bool correlate_channels(const at::Tensor&, const DirectArgs<float, float, int64_t>&);
template bool correlate_channels(const at::Tensor&, const DirectArgs<double, double, int64_t>&);
template bool correlate_channels(const at::Tensor&, const DirectArgs<bf16, bf16, int64_t>&);
template bool correlate_channels(const at::Tensor&, const DirectArgs<f16, f16, int64_t>&);

}  // namespace torchconv::cuda
