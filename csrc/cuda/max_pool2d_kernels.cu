// The kernels of max_pool2d and its relatives: which of them a window and a layout take.
#include "cuda/each_type.h"
#include "cuda/max_pool2d.cuh"
#include "cuda/max_pool2d.h"
#include "cuda/max_pool2d_backward.cuh"
#include "cuda/max_pool2d_places.cuh"

namespace torchconv::cuda {
namespace {

/// Whether channels lie next to each other everywhere.
template <class X, class O, class Offset>
bool channels_adjoin(const Pool2dArgs<X, O, Offset>& args) {
  return args.shape.channels > 1 && args.x.c == 1 && args.out.c == 1 &&
         (args.offsets.data == nullptr || args.offsets.c == 1);
}

/// Whether every number that kernels compute fits into 32 bits: places in windows, which reach
/// over the image and, for lanes that do not exist, a few steps further; and places in memory.
template <class X, class O, class Offset>
bool fits_in_32_bits(const Pool2dArgs<X, O, Offset>& args) {
  const Pool2dShape& s = args.shape;
  constexpr int64_t kMostSize = int64_t(1) << 27, kMostReach = int64_t(1) << 30;
  for (const int64_t size :
       {s.batch, s.channels, s.in_h, s.in_w, s.kernel_h, s.kernel_w, s.stride_h, s.stride_w,
        s.pad_h, s.pad_w, s.dilation_h, s.dilation_w}) {
    if (size > kMostSize) return false;
  }
  const auto reach = [&](const auto& view, int64_t height, int64_t width) {
    const auto along = [](int64_t size, int64_t stride) { return size == 1 ? 0 : size * stride; };
    return along(s.batch, view.n) + along(s.channels, view.c) + along(height, view.h) +
           along(width, view.w);
  };
  return reach(args.x, s.in_h, s.in_w) <= kMostReach &&
         reach(args.out, s.out_h, s.out_w) <= kMostReach &&
         reach(args.offsets, s.out_h, s.out_w) <= kMostReach;
}

template <class Body, class Args>
void launch_body(const at::Tensor& on, const Args& args) {
  const Body body(args);
  launch(on, body, body.split.items(args.shape.batch));
}

/// The windows of most networks are known to the compiler, for types that have gradients.
template <template <class T, class Offset, class Index, class W> class Body, class T, class Offset,
          class Args>
void launch_pooling(const at::Tensor& on, const Args& args) {
  if (!fits_in_32_bits(args)) return launch_body<Body<T, Offset, int64_t, AnyWindow>>(on, args);
  if constexpr (std::is_floating_point_v<Accumulator<T>> && sizeof(Offset) == 1) {
    const auto known = [&](auto window) {
      using W = decltype(window);
      if (!W::is(args.shape)) return false;
      launch_body<Body<T, Offset, int32_t, W>>(on, args);
      return true;
    };
    if (known(Window<2, 2, 0>()) || known(Window<3, 2, 0>()) || known(Window<3, 2, 1>())) return;
  }
  launch_body<Body<T, Offset, int32_t, AnyWindow>>(on, args);
}

}  // namespace

template <class T, class Offset>
void launch_max_pool2d(const at::Tensor& on, const Pool2dArgs<const T, T, Offset>& args) {
  channels_adjoin(args) ? launch_pooling<MaxPool2dChannels, T, Offset>(on, args)
                        : launch_pooling<MaxPool2dColumns, T, Offset>(on, args);
}

template <class T, class Offset>
void launch_max_pool2d_backward(const at::Tensor& on,
                                const Pool2dArgs<T, const T, const Offset>& args) {
  channels_adjoin(args) ? launch_pooling<MaxPool2dBackwardChannels, T, Offset>(on, args)
                        : launch_pooling<MaxPool2dBackwardColumns, T, Offset>(on, args);
}

template <class T, class Offset>
void launch_max_pool2d_gather(const at::Tensor& on,
                              const Pool2dArgs<const T, T, const Offset>& args) {
  const Pool2dShape& s = args.shape;
  const MaxPool2dGather<T, Offset> body{args, {s, args.out.c == 1}};
  launch(on, body, s.batch * s.channels * s.out_h * s.out_w);
}

template <class Offset>
void launch_max_pool2d_indices(const at::Tensor& on, const Pool2dShape& s,
                               const View4<const Offset>& offsets, const View4<int64_t>& indices) {
  const MaxPool2dIndices<Offset> body{s, offsets, indices, {s, indices.c == 1}};
  launch(on, body, s.batch * s.channels * s.out_h * s.out_w);
}

#define TORCHCONV_MAX_POOL2D(T)                                                               \
  template void launch_max_pool2d(const at::Tensor&, const Pool2dArgs<const T, T, uint8_t>&); \
  template void launch_max_pool2d(const at::Tensor&, const Pool2dArgs<const T, T, int32_t>&);
#define TORCHCONV_MAX_POOL2D_RELATIVES_BY(T, Offset)                                     \
  template void launch_max_pool2d_backward(const at::Tensor&,                            \
                                           const Pool2dArgs<T, const T, const Offset>&); \
  template void launch_max_pool2d_gather(const at::Tensor&,                              \
                                         const Pool2dArgs<const T, T, const Offset>&);
#define TORCHCONV_MAX_POOL2D_RELATIVES(T)       \
  TORCHCONV_MAX_POOL2D_RELATIVES_BY(T, uint8_t) \
  TORCHCONV_MAX_POOL2D_RELATIVES_BY(T, int32_t)

TORCHCONV_EACH_REAL(TORCHCONV_MAX_POOL2D)
TORCHCONV_EACH_FLOAT(TORCHCONV_MAX_POOL2D_RELATIVES)
template void launch_max_pool2d_indices(const at::Tensor&, const Pool2dShape&,
                                        const View4<const uint8_t>&, const View4<int64_t>&);
template void launch_max_pool2d_indices(const at::Tensor&, const Pool2dShape&,
                                        const View4<const int32_t>&, const View4<int64_t>&);

}  // namespace torchconv::cuda
