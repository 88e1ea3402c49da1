// Kernels of max-pooling. A thread has several neighbouring places of the result, `lanes`: columns,
// or channels where these lie next to each other in memory.
#pragma once

#include "cuda/max_pool2d_args.cuh"

namespace torchconv::cuda {

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
