// Max-pooling and its gradients from views to views: threads and a kernel.
#pragma once

#include "cpu/dispatch.h"
#include "cpu/parallel.h"

namespace torchconv {

/// Runs a kernel over the rows of out, or of x where the result is a gradient of x.
template <class Args, class Kernel>
void parallel_pooling(const Args& args, bool over_x, Kernel* kernel) {
  const Pool2dShape& s = args.shape;
  const bool lanes_are_channels = channels_contiguous(args);
  const int64_t rows =
      s.batch * (over_x ? s.in_h : s.out_h) * (lanes_are_channels ? 1 : s.channels);
  const double row_size =
      static_cast<double>(over_x ? s.in_w : s.out_w) * (lanes_are_channels ? s.channels : 1);
  // Comparing is cheap beside multiplying and adding; so short rows cost as much to begin.
  constexpr double kTapsAtOnce = 4, kBegin = 32;
  parallel(rows, kBegin + row_size * s.kernel_h * s.kernel_w / kTapsAtOnce,
           [&](int64_t begin, int64_t end) { kernel(args, begin, end); });
}

/// Writes args.out and, if there are any, args.offsets.
template <class T, class Offset>
void compute_max_pool2d(const Pool2dArgs<const T, T, Offset>& args) {
  const auto& table = kernels().of(T{});
  if constexpr (sizeof(Offset) == 1) {
    parallel_pooling(args, /*over_x=*/false, table.max_pool2d_8);
  } else {
    parallel_pooling(args, /*over_x=*/false, table.max_pool2d_32);
  }
}

template <class T, class Offset>
const PoolGradientKernels<T, Offset>& pool_gradient_kernels() {
  const auto& table = kernels().of(T{});
  if constexpr (sizeof(Offset) == 1) {
    return table.pool_gradients_8;
  } else {
    return table.pool_gradients_32;
  }
}

/// Writes args.x.
template <class T, class Offset>
void compute_max_pool2d_backward(const Pool2dArgs<T, const T, const Offset>& args) {
  parallel_pooling(args, /*over_x=*/true, pool_gradient_kernels<T, Offset>().backward);
}

/// Writes args.out.
template <class T, class Offset>
void compute_max_pool2d_gather(const Pool2dArgs<const T, T, const Offset>& args) {
  parallel_pooling(args, /*over_x=*/false, pool_gradient_kernels<T, Offset>().gather);
}

}  // namespace torchconv
