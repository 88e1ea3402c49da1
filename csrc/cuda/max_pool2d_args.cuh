// What kernels of pooling are told: windows and tensors. Index is int32_t where every number fits,
// since a GPU computes 64 bits piece by piece.
#pragma once

#include "cuda/runs.cuh"

namespace torchconv::cuda {

/// A square window without dilation that the compiler knows, so that a thread finds its taps at
/// fixed places of what it has loaded: a row of them at a time.
template <int side, int step, int pad>
struct Window {
  static constexpr bool kKnown = side > 0;
  static constexpr int kSide = side, kStep = step, kPad = pad;

  static bool is(const Pool2dShape& s) {
    return s.kernel_h == side && s.kernel_w == side && s.stride_h == step && s.stride_w == step &&
           s.pad_h == pad && s.pad_w == pad && s.dilation_h == 1 && s.dilation_w == 1;
  }
};
using AnyWindow = Window<0, 0, 0>;

/// Pool2dArgs by Index. The stride of a dimension of size 1 may be any number, and becomes 0.
template <class T, class Index>
struct IndexedView {
  T* data;
  Index n, c, h, w;

  IndexedView(const View4<T>& v, const Pool2dShape& s, int64_t height, int64_t width)
      : data(v.data),
        n(s.batch == 1 ? 0 : Index(v.n)),
        c(s.channels == 1 ? 0 : Index(v.c)),
        h(height == 1 ? 0 : Index(v.h)),
        w(width == 1 ? 0 : Index(v.w)) {}

  TORCHCONV_ANYWHERE T* at(Index image, Index channel, Index row, Index col) const {
    return data + (image * n + channel * c + row * h + col * w);
  }
};
template <class X, class O, class Offset, class Index>
struct PoolArgs {
  BasicPool2dShape<Index> shape;
  IndexedView<X, Index> x;
  IndexedView<O, Index> out;
  IndexedView<Offset, Index> offsets;

  explicit PoolArgs(const Pool2dArgs<X, O, Offset>& args)
      : shape(indexed(args.shape)),
        x(args.x, args.shape, args.shape.in_h, args.shape.in_w),
        out(args.out, args.shape, args.shape.out_h, args.shape.out_w),
        offsets(args.offsets, args.shape, args.shape.out_h, args.shape.out_w) {}

  static BasicPool2dShape<Index> indexed(const Pool2dShape& s) {
    return {Index(s.batch),    Index(s.channels), Index(s.in_h),       Index(s.in_w),
            Index(s.kernel_h), Index(s.kernel_w), Index(s.stride_h),   Index(s.stride_w),
            Index(s.pad_h),    Index(s.pad_w),    Index(s.dilation_h), Index(s.dilation_w),
            Index(s.out_h),    Index(s.out_w)};
  }

  /// The shape, in which the compiler may know the window.
  template <class W>
  TORCHCONV_ANYWHERE BasicPool2dShape<Index> windowed() const {
    BasicPool2dShape<Index> s = shape;
    if constexpr (W::kKnown) {
      s.kernel_h = s.kernel_w = W::kSide;
      s.stride_h = s.stride_w = W::kStep;
      s.pad_h = s.pad_w = W::kPad;
      s.dilation_h = s.dilation_w = 1;
    }
    return s;
  }
};

/// Columns of a thread. Finding out where they lie costs about as much as pooling four of them,
/// which short types have less time for: their memory is read sooner.
template <class T>
constexpr int kColumns = sizeof(T) <= 2 ? 8 : 4;

template <class Index>
TORCHCONV_ANYWHERE inline bool within(Index position, Index size) {
  return position >= 0 && position < size;
}

/// Taps [first, last) of a window, in one dimension, for which low <= tap · dilation <= high.
template <class Index>
struct Taps {
  Index first, last;

  TORCHCONV_ANYWHERE Taps(Index low, Index high, Index kernel, Index dilation)
      : first(low <= 0 ? 0 : (low - 1) / dilation + 1),
        last(high < 0                          ? 0
             : high >= (kernel - 1) * dilation ? kernel
                                               : high / dilation + 1) {}
};

}  // namespace torchconv::cuda
