// The gradient of a bias on CUDA: grad_out summed over everything but its channels.
#pragma once

#include "cuda/device.h"
#include "views.h"

namespace torchconv::cuda {

template <class T, class Offset>
struct ChannelSumArgs {
  ImageSizes sizes;
  View4<const T> grad_out;
  View4<const Offset> offsets;  // data may be nullptr; else elements with an offset of -1 are zero
  T* out;                       // dense
};

/// out[c] = Σ grad_out[n, c, h, w]. The order of a sum depends on sizes and strides alone.
template <class T, class Offset>
void launch_channel_sum(const at::Tensor& on, const ChannelSumArgs<T, Offset>& args);

}  // namespace torchconv::cuda
