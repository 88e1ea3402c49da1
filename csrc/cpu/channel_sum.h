// The gradient of a bias: grad_out summed over everything but its channels.
#pragma once

#include "cpu/dispatch.h"
#include "cpu/parallel.h"

namespace torchconv {

template <class T, class Offset>
void channel_sum(const ChannelSumArgs<T, Offset>& args) {
  ChannelSumKernel<T, Offset> kernel;
  if constexpr (sizeof(Offset) == 1) {
    kernel = kernels().of(T{}).channel_sum_8;
  } else {
    kernel = kernels().of(T{}).channel_sum_32;
  }
  const double work = static_cast<double>(args.batch) * args.height * args.width;
  parallel(args.channels, work, [&](int64_t begin, int64_t end) { kernel(args, begin, end); });
}

}  // namespace torchconv
