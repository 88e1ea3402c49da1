// The gradient of max-pooling: each element of grad_x gathers from the windows that cover it, so
// that no two threads add to one place, and sums have one order, that of the element's places in
// windows, as on the CPU.
#pragma once

#include "cuda/max_pool2d_args.cuh"

namespace torchconv::cuda {

/// The windows that cover a tile of `tile` places beginning at a multiple of `tile`, in one
/// dimension: kCount of them from kFirst on, counted from the one numbered (first place) / step.
template <class W, int tile>
struct Covering {
  static_assert(tile % W::kStep == 0);
  // ceil((pad - side + 1) / step), of a number that is not positive
  static constexpr int kFirst = -((W::kSide - 1 - W::kPad) / W::kStep);
  static constexpr int kCount = (tile - 1 + W::kPad) / W::kStep - kFirst + 1;

  /// Which tap of its window a place of the tile is, if it is one.
  TORCHCONV_ANYWHERE static constexpr int tap(int place, int window) {
    return place + W::kPad - (kFirst + window) * W::kStep;
  }
};
template <class W>
TORCHCONV_ANYWHERE constexpr bool is_tap(int tap) {
  return tap >= 0 && tap < W::kSide;
}

/// As which taps of windows some places occur, from a first to a last one of the padded image.
template <class Index>
TORCHCONV_ANYWHERE inline Taps<Index> taps_of(Index first, Index last, Index kernel, Index dilation,
                                              Index stride, Index windows) {
  return Taps<Index>(first - (windows - 1) * stride, last, kernel, dilation);
}

/// The window, in one dimension, of which a place in the padded image is a certain tap.
template <class Index>
struct Cover {
  Index window;
  bool exists;
};
template <class Index>
TORCHCONV_ANYWHERE inline Cover<Index> cover(Index place, const Divider<Index>& stride,
                                             Index windows) {
  if (place < 0) return {0, false};
  const Index window = stride.quotient(place);
  return {window, window * stride.divisor() == place && window < windows};
}

template <int n, class T>
TORCHCONV_ANYWHERE inline void store_sums(const Accumulator<T> (&sums)[n], T* to, int64_t step,
                                          int count) {
  T results[n];
#pragma unroll
  for (int k = 0; k < n; ++k) narrow(sums[k], &results[k]);
  store_run(to, step, count, results);
}

/// Some windows of a vector of channels: what they have chosen, and its gradient.
template <int count, class T, class Offset>
struct Windows {
  static constexpr int kLanes = kVector<T>;

  const T* grads_from[count];
  const Offset* offsets_from[count];
  int there[count];
  Run<T, kLanes> grads[count];
  Run<Offset, kLanes> offsets[count];

  /// Window n is that at (row, col), for so many lanes.
  template <class Args, class Index>
  TORCHCONV_ANYWHERE void choose(int n, const Args& args, Index image, Index channel, Index row,
                                 Index col, int lanes) {
    there[n] = lanes;
    grads_from[n] = args.out.at(image, channel, lanes > 0 ? row : 0, lanes > 0 ? col : 0);
    offsets_from[n] = args.offsets.at(image, channel, lanes > 0 ? row : 0, lanes > 0 ? col : 0);
  }

  TORCHCONV_ANYWHERE void load() {
    load_runs(offsets_from, 1, there, Offset(-1), offsets);
    load_runs(grads_from, 1, there, T{}, grads);
  }

  TORCHCONV_ANYWHERE void add_to(Accumulator<T> (&sums)[kLanes], int n, int tap) const {
#pragma unroll
    for (int k = 0; k < kLanes; ++k) {
      if (offsets[n][k] == tap) sums[k] += widen(grads[n][k]);
    }
  }
};

/// Lanes are columns of x; items are (image, channel, group of rows, group of columns).
template <class T, class Offset, class Index, class W>
struct MaxPool2dBackwardColumns {
  static constexpr int kRows = W::kKnown ? 2 : 1, kLanes = kColumns<T>;

  PoolArgs<T, const T, const Offset, Index> args;
  Split4<Index> split;
  Divider<Index> stride_h, stride_w;

  explicit MaxPool2dBackwardColumns(const Pool2dArgs<T, const T, const Offset>& a)
      : args(a),
        split(a.shape.channels, ceil_div<int64_t>(a.shape.in_h, kRows),
              ceil_div<int64_t>(a.shape.in_w, kLanes)),
        stride_h(Index(a.shape.stride_h)),
        stride_w(Index(a.shape.stride_w)) {}

  TORCHCONV_ANYWHERE void operator()(int64_t item) const {
    const auto s = args.template windowed<W>();
    const auto [image, channel, rows, group] = split(item);
    const Index row = rows * kRows, col = group * kLanes;
    Accumulator<T> sums[kRows][kLanes] = {};
    if constexpr (W::kKnown) {
      add_known(image, channel, row, col, sums);
    } else {
      const Index top = row + s.pad_h, left = col + s.pad_w;
      const auto down_taps = taps_of(top, top, s.kernel_h, s.dilation_h, s.stride_h, s.out_h);
      const auto right_taps =
          taps_of(left, left + kLanes - 1, s.kernel_w, s.dilation_w, s.stride_w, s.out_w);
      for (Index i = down_taps.first; i < down_taps.last; ++i) {
        const auto down = cover<Index>(top - i * s.dilation_h, stride_h, s.out_h);
        if (!down.exists) continue;
        const T* grads = args.out.at(image, channel, down.window, 0);
        const Offset* offsets = args.offsets.at(image, channel, down.window, 0);
#pragma unroll 1
        for (Index j = right_taps.first; j < right_taps.last; ++j) {
#pragma unroll
          for (int k = 0; k < kLanes; ++k) {
            const auto right = cover<Index>(left + k - j * s.dilation_w, stride_w, s.out_w);
            if (right.exists && offsets[right.window * args.offsets.w] == i * s.kernel_w + j) {
              sums[0][k] += widen(grads[right.window * args.out.w]);
            }
          }
        }
      }
    }
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      if (row + r < s.in_h) {
        store_sums(sums[r], args.x.at(image, channel, row + r, col), args.x.w,
                   at_most(s.in_w - col, kLanes));
      }
    }
  }

 private:
  TORCHCONV_ANYWHERE void add_known(Index image, Index channel, Index row, Index col,
                                    Accumulator<T> (&sums)[kRows][kLanes]) const {
    using Down = Covering<W, kRows>;
    using Across = Covering<W, kLanes>;
    const Index out_row = row / W::kStep + Down::kFirst, out_col = col / W::kStep + Across::kFirst;
    T grads[Down::kCount][Across::kCount];
    Offset offsets[Down::kCount][Across::kCount];
#pragma unroll
    for (int a = 0; a < Down::kCount; ++a) {
#pragma unroll
      for (int b = 0; b < Across::kCount; ++b) {
        const bool inside = within<Index>(out_row + a, args.shape.out_h) &&
                            within<Index>(out_col + b, args.shape.out_w);
        offsets[a][b] = inside ? *args.offsets.at(image, channel, out_row + a, out_col + b) : -1;
        grads[a][b] = inside ? *args.out.at(image, channel, out_row + a, out_col + b) : T{};
      }
    }
#pragma unroll
    for (int a = Down::kCount - 1; a >= 0; --a) {
#pragma unroll
      for (int b = Across::kCount - 1; b >= 0; --b) {
        const Accumulator<T> grad = widen(grads[a][b]);
#pragma unroll
        for (int r = 0; r < kRows; ++r) {
#pragma unroll
          for (int k = 0; k < kLanes; ++k) {
            const int i = Down::tap(r, a), j = Across::tap(k, b);
            if (!is_tap<W>(i) || !is_tap<W>(j)) continue;
            if (offsets[a][b] == i * W::kSide + j) sums[r][k] += grad;
          }
        }
      }
    }
  }
};

/// Lanes are channels, a vector of them; items are (image, group of rows, of columns, of channels).
template <class T, class Offset, class Index, class W>
struct MaxPool2dBackwardChannels {
  static constexpr int kTile = W::kKnown ? 2 : 1, kLanes = kVector<T>;  // rows and columns

  PoolArgs<T, const T, const Offset, Index> args;
  Split4<Index> split;
  Divider<Index> stride_h, stride_w;

  explicit MaxPool2dBackwardChannels(const Pool2dArgs<T, const T, const Offset>& a)
      : args(a),
        split(ceil_div<int64_t>(a.shape.in_h, kTile), ceil_div<int64_t>(a.shape.in_w, kTile),
              ceil_div<int64_t>(a.shape.channels, kLanes)),
        stride_h(Index(a.shape.stride_h)),
        stride_w(Index(a.shape.stride_w)) {}

  TORCHCONV_ANYWHERE void operator()(int64_t item) const {
    const auto s = args.template windowed<W>();
    const auto [image, rows, cols, group] = split(item);
    const Index row = rows * kTile, col = cols * kTile, channel = group * kLanes;
    const int lanes = at_most(s.channels - channel, kLanes);
    Accumulator<T> sums[kTile][kTile][kLanes] = {};
    if constexpr (W::kKnown) {
      using Both = Covering<W, kTile>;
      constexpr int kCount = Both::kCount;
      const Index out_row = row / W::kStep + Both::kFirst, out_col = col / W::kStep + Both::kFirst;
      Windows<kCount * kCount, T, Offset> windows;
#pragma unroll
      for (int n = 0; n < kCount * kCount; ++n) {
        const Index at_row = out_row + n / kCount, at_col = out_col + n % kCount;
        const bool inside = within(at_row, s.out_h) && within(at_col, s.out_w);
        windows.choose(n, args, image, channel, at_row, at_col, inside ? lanes : 0);
      }
      windows.load();
#pragma unroll
      for (int n = kCount * kCount - 1; n >= 0; --n) {
#pragma unroll
        for (int place = 0; place < kTile * kTile; ++place) {
          const int r = place / kTile, c = place % kTile;
          const int i = Both::tap(r, n / kCount), j = Both::tap(c, n % kCount);
          if (is_tap<W>(i) && is_tap<W>(j)) windows.add_to(sums[r][c], n, i * W::kSide + j);
        }
      }
    } else {
      const Index top = row + s.pad_h, left = col + s.pad_w;
      const auto down_taps = taps_of(top, top, s.kernel_h, s.dilation_h, s.stride_h, s.out_h);
      const auto right_taps = taps_of(left, left, s.kernel_w, s.dilation_w, s.stride_w, s.out_w);
      for (Index i = down_taps.first; i < down_taps.last; ++i) {
        const auto down = cover<Index>(top - i * s.dilation_h, stride_h, s.out_h);
        if (!down.exists) continue;
        for (Index j = right_taps.first; j < right_taps.last; ++j) {
          const auto right = cover<Index>(left - j * s.dilation_w, stride_w, s.out_w);
          if (!right.exists) continue;
          Windows<1, T, Offset> window;
          window.choose(0, args, image, channel, down.window, right.window, lanes);
          window.load();
          window.add_to(sums[0][0], 0, int(i * s.kernel_w + j));
        }
      }
    }
#pragma unroll
    for (int r = 0; r < kTile; ++r) {
#pragma unroll
      for (int c = 0; c < kTile; ++c) {
        if (row + r >= s.in_h || col + c >= s.in_w) continue;
        store_sums(sums[r][c], args.x.at(image, channel, row + r, col + c), 1, lanes);
      }
    }
  }
};

}  // namespace torchconv::cuda
