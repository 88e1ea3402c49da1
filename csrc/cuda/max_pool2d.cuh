// Kernels of max-pooling and its gradient. A thread has several neighbouring places of the result,
// `lanes`: columns, or channels where these lie next to each other in memory.
//
// Index is int32_t where every number fits, since a GPU computes 64 bits piece by piece.
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

/// n, or `most` where n is more.
template <class Index>
TORCHCONV_ANYWHERE inline int at_most(Index n, int most) {
  return n < most ? int(n) : most;
}

/// -inf, or the least integer.
template <class T>
TORCHCONV_ANYWHERE constexpr Accumulator<T> lowest() {
  using Acc = Accumulator<T>;
  if constexpr (Acc(0.5) != Acc(0)) {
    return -Acc(__builtin_inf());
  } else {
    return T(-1) < T(0) ? Acc(T(T(1) << (8 * sizeof(T) - 1))) : Acc(0);
  }
}

/// What a window has found: the first of equal maxima, and NaN (the last one) above all. The first
/// tap inside the image counts whatever it is. Which one that is, is known from the start (W), or
/// it is the first one seen; if there is none, the window lies wholly in the padding.
template <class T, class W>
struct Maximum {
  Accumulator<T> value = lowest<T>();
  int offset = -1;

  TORCHCONV_ANYWHERE void see(T element, int tap) {
    const Accumulator<T> v = widen(element);
    if ((!W::kKnown && offset < 0) || v > value || v != v) {
      value = v;
      offset = tap;
    }
  }
};

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

/// The first row, or column, of a known window that is inside; it begins at `origin`.
template <class Index>
TORCHCONV_ANYWHERE inline int first_inside(Index origin) {
  return origin < 0 ? int(-origin) : 0;
}

template <int kLanes, class T, class W, class Args, class Index>
TORCHCONV_ANYWHERE inline void store_maxima(const Maximum<T, W> (&maxima)[kLanes], const Args& args,
                                            Index image, Index channel, Index row, Index col,
                                            Index out_step, Index offset_step, int lanes) {
  using Offset = std::remove_pointer_t<decltype(args.offsets.data)>;
  T values[kLanes];
  Offset taps[kLanes];
#pragma unroll
  for (int k = 0; k < kLanes; ++k) {
    narrow(maxima[k].value, &values[k]);
    taps[k] = Offset(maxima[k].offset);
  }
  store_run(args.out.at(image, channel, row, col), out_step, lanes, values);
  if (args.offsets.data != nullptr) {
    store_run(args.offsets.at(image, channel, row, col), offset_step, lanes, taps);
  }
}

/// Lanes are columns of out; items are (image, channel, row, group of columns).
template <class T, class Offset, class Index, class W>
struct MaxPool2dColumns {
  static constexpr int kLanes = kColumns<T>;

  PoolArgs<const T, T, Offset, Index> args;
  Split4<Index> split;

  explicit MaxPool2dColumns(const Pool2dArgs<const T, T, Offset>& a)
      : args(a), split(a.shape.channels, a.shape.out_h, ceil_div<int64_t>(a.shape.out_w, kLanes)) {}

  TORCHCONV_ANYWHERE void operator()(int64_t item) const {
    const auto s = args.template windowed<W>();
    const auto [image, channel, out_row, group] = split(item);
    const Index out_col = group * kLanes;
    const int lanes = at_most(s.out_w - out_col, kLanes);
    const Index top = out_row * s.stride_h - s.pad_h, left = out_col * s.stride_w - s.pad_w;
    Maximum<T, W> maxima[kLanes];
    if constexpr (W::kKnown) {
      // What is beside the first column of the first window and beside the last step of the last
      // one comes alone, so that the rest is aligned.
      constexpr int kRun = kLanes * W::kStep, kAfter = W::kSide - W::kStep - W::kPad;
      static_assert(kAfter >= 0);
      T outside;  // such as never wins
      narrow(lowest<T>(), &outside);
#pragma unroll
      for (int k = 0; k < kLanes; ++k) {
        const int column = first_inside<Index>(left + k * W::kStep);
        maxima[k].offset = first_inside(top) * W::kSide + column;
      }
#pragma unroll
      for (int i = 0; i < W::kSide; ++i) {
        const bool inside = within<Index>(top + i, s.in_h);
        const Index first = left + W::kPad;
        const T* from[] = {args.x.at(image, channel, inside ? top + i : 0, first)};
        const int there = inside && first < s.in_w ? at_most(s.in_w - first, kRun) : 0;
        T before[W::kPad + 1], after[kAfter + 1];
        Run<T, kRun> run[1];
#pragma unroll
        for (int j = 0; j < W::kPad; ++j) {
          const bool here = inside && within<Index>(left + j, s.in_w);
          before[j] = here ? from[0][(j - W::kPad) * args.x.w] : outside;
        }
#pragma unroll
        for (int j = 0; j < kAfter; ++j) {
          const bool here = inside && first + kRun + j < s.in_w;
          after[j] = here ? from[0][(kRun + j) * args.x.w] : outside;
        }
        load_runs(from, args.x.w, {there}, outside, run);
#pragma unroll
        for (int k = 0; k < kLanes; ++k) {
#pragma unroll
          for (int j = 0; j < W::kSide; ++j) {
            const int place = k * W::kStep + j - W::kPad, tap = i * W::kSide + j;
            if (place < 0) {
              maxima[k].see(before[place < 0 ? place + W::kPad : 0], tap);
            } else if (place < kRun) {
              maxima[k].see(run[0][place < kRun ? place : 0], tap);
            } else {
              maxima[k].see(after[place < kRun ? 0 : place - kRun], tap);
            }
          }
        }
      }
    } else {
      const Taps<Index> rows(-top, s.in_h - 1 - top, s.kernel_h, s.dilation_h);
      const Index reach = (lanes - 1) * s.stride_w;
      const Taps<Index> cols(-left - reach, s.in_w - 1 - left, s.kernel_w, s.dilation_w);
      for (Index i = rows.first; i < rows.last; ++i) {
        const T* line = args.x.at(image, channel, top + i * s.dilation_h, 0);
#pragma unroll 1
        for (Index j = cols.first; j < cols.last; ++j) {
#pragma unroll
          for (int k = 0; k < kLanes; ++k) {
            if (k >= lanes) continue;
            const Index col = left + k * s.stride_w + j * s.dilation_w;
            if (within(col, s.in_w)) {
              maxima[k].see(line[col * args.x.w], int(i * s.kernel_w + j));
            }
          }
        }
      }
    }
    store_maxima(maxima, args, image, channel, out_row, out_col, args.out.w, args.offsets.w, lanes);
  }
};

/// Lanes are channels, a vector of them; items are (image, row, column, group of channels).
template <class T, class Offset, class Index, class W>
struct MaxPool2dChannels {
  static constexpr int kLanes = kVector<T>;

  PoolArgs<const T, T, Offset, Index> args;
  Split4<Index> split;

  explicit MaxPool2dChannels(const Pool2dArgs<const T, T, Offset>& a)
      : args(a), split(a.shape.out_h, a.shape.out_w, ceil_div<int64_t>(a.shape.channels, kLanes)) {}

  TORCHCONV_ANYWHERE void operator()(int64_t item) const {
    const auto s = args.template windowed<W>();
    const auto [image, out_row, out_col, group] = split(item);
    const Index channel = group * kLanes;
    const int lanes = at_most(s.channels - channel, kLanes);
    const Index top = out_row * s.stride_h - s.pad_h, left = out_col * s.stride_w - s.pad_w;
    Maximum<T, W> maxima[kLanes];
    if constexpr (W::kKnown) {
      T outside;
      narrow(lowest<T>(), &outside);
#pragma unroll
      for (int k = 0; k < kLanes; ++k) {
        maxima[k].offset = first_inside(top) * W::kSide + first_inside(left);
      }
#pragma unroll
      for (int i = 0; i < W::kSide; ++i) {
        const T* from[W::kSide];
        int there[W::kSide];
        Run<T, kLanes> taps[W::kSide];
#pragma unroll
        for (int j = 0; j < W::kSide; ++j) {
          const bool inside = within<Index>(top + i, s.in_h) && within<Index>(left + j, s.in_w);
          from[j] = args.x.at(image, channel, inside ? top + i : 0, inside ? left + j : 0);
          there[j] = inside ? lanes : 0;
        }
        load_runs(from, 1, there, outside, taps);
#pragma unroll
        for (int j = 0; j < W::kSide; ++j) {
#pragma unroll
          for (int k = 0; k < kLanes; ++k) maxima[k].see(taps[j][k], i * W::kSide + j);
        }
      }
    } else {
      const Taps<Index> rows(-top, s.in_h - 1 - top, s.kernel_h, s.dilation_h);
      const Taps<Index> cols(-left, s.in_w - 1 - left, s.kernel_w, s.dilation_w);
      for (Index i = rows.first; i < rows.last; ++i) {
        for (Index j = cols.first; j < cols.last; ++j) {
          const Index row = top + i * s.dilation_h, col = left + j * s.dilation_w;
          const T* from[] = {args.x.at(image, channel, row, col)};
          Run<T, kLanes> taps[1];
          load_runs(from, 1, {lanes}, T{}, taps);
#pragma unroll
          for (int k = 0; k < kLanes; ++k) maxima[k].see(taps[0][k], int(i * s.kernel_w + j));
        }
      }
    }
    store_maxima(maxima, args, image, channel, out_row, out_col, Index(1), Index(1), lanes);
  }
};

}  // namespace torchconv::cuda
