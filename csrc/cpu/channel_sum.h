// The gradient of a bias: grad_out summed over everything but its channels.
#pragma once

#include "cpu/dispatch.h"
#include "cpu/parallel.h"

namespace torchconv {

template <class T>
void channel_sum(const ChannelSumArgs<T>& args) {
  auto* const kernel = kernels().of(T{}).channel_sum;
  const double work = static_cast<double>(args.batch) * args.height * args.width;
  parallel(args.channels, work, [&](int64_t begin, int64_t end) { kernel(args, begin, end); });
}

}  // namespace torchconv
