// Pooling with the lanes along contiguous channels: one window at a time, of all channels.

// A window, as far as all channels have it in common.
struct Window {
  int64_t step_h, step_w;  // from one tap to the next
  Inside rows, cols;       // its taps
  int64_t kernel_w;
  bool relu;

  bool empty() const { return rows.first == rows.last || cols.first == cols.last; }
  int64_t first_tap() const { return empty() ? -1 : rows.first * kernel_w + cols.first; }
};

template <bool kWhole, class T>
struct ChannelTaps {
  const T* x;  // tap (0, 0)
  int64_t step_h, step_w;
  int64_t lanes;

  Vec<Accumulator<T>> operator()(int64_t i, int64_t j) const {
    const T* p = x + i * step_h + j * step_w;
    return kWhole ? load(p) : load_first(p, lanes);
  }
};

// kLanes channels, or the last few. kKernel > 0: a square of taps, unrolled. x is that of tap
// (0, 0).
template <bool kWhole, bool kGather, int kKernel, class T, class O, class Offset>
inline void pool_window(const Window& window, const T* x, O* out, Offset* offsets,
                        int64_t most_lanes) {
  using Acc = Accumulator<T>;
  const int64_t lanes = kWhole ? kLanes<Acc> : most_lanes;
  const ChannelTaps<kWhole, T> taps = {x, window.step_h, window.step_w, lanes};
  if constexpr (kGather) {
    const Vec<Bits<Acc>> chosen = load_offsets<Acc>(offsets, 0, lanes);
    store_lanes(out, gathered<T>(taps, window.rows, window.cols, window.kernel_w, chosen), lanes);
  } else {
    const Vec<Bits<Acc>> first = broadcast<Bits<Acc>>(window.first_tap());
    Found<Acc> found = largest<kKernel, kKernel, T>(taps, window.rows, window.cols, window.kernel_w,
                                                    first, offsets != nullptr);
    if (window.relu) found = rectified(found);
    store_lanes(out, found.value, lanes);
    if (offsets != nullptr) store_offsets<Acc>(offsets, found.offset, lanes);
  }
}

template <bool kGather, int kKernel, class T, class O, class Offset>
inline void pool_channels(const Window& window, int64_t channels, const T* x, O* out,
                          Offset* offsets) {
  constexpr int64_t kStep = kLanes<Accumulator<T>>;
  int64_t c = 0;
  for (; c + kStep <= channels; c += kStep) {
    Offset* const chosen = offsets == nullptr ? nullptr : offsets + c;
    pool_window<true, kGather, kKernel>(window, x + c, out + c, chosen, kStep);
  }
  if (c < channels) {
    Offset* const chosen = offsets == nullptr ? nullptr : offsets + c;
    pool_window<false, kGather, kKernel>(window, x + c, out + c, chosen, channels - c);
  }
}

template <bool kGather, class T, class O, class Offset>
void pool_row_of_channels(const Pool2dArgs<const T, O, Offset>& args, int64_t image,
                          int64_t out_row) {
  const Pool2dShape& s = args.shape;
  const int64_t top = out_row * s.stride_h - s.pad_h;
  Window window = {s.dilation_h * args.x.h,
                   s.dilation_w * args.x.w,
                   taps_inside(top, s.in_h, s.kernel_h, s.dilation_h),
                   {},
                   s.kernel_w,
                   args.relu};
  const bool square =
      s.kernel_h == s.kernel_w && window.rows.last - window.rows.first == s.kernel_h;
  const T* x = args.x.data + image * args.x.n + top * args.x.h;
  O* out = args.out.data + image * args.out.n + out_row * args.out.h;
  Offset* offsets = args.offsets.data;
  if (offsets != nullptr) offsets += image * args.offsets.n + out_row * args.offsets.h;
  for (int64_t out_col = 0; out_col < s.out_w; ++out_col) {
    const int64_t left = out_col * s.stride_w - s.pad_w;
    window.cols = taps_inside(left, s.in_w, s.kernel_w, s.dilation_w);
    const T* p = x + left * args.x.w;
    const bool whole = square && window.cols.last - window.cols.first == s.kernel_w;
    const int64_t unrolled = whole && !kGather && s.kernel_w <= 3 ? s.kernel_w : 0;
    if constexpr (!kGather) {
      if (unrolled == 2) pool_channels<false, 2>(window, s.channels, p, out, offsets);
      if (unrolled == 3) pool_channels<false, 3>(window, s.channels, p, out, offsets);
    }
    if (unrolled < 2) pool_channels<kGather, 0>(window, s.channels, p, out, offsets);
    out += args.out.w;
    if (offsets != nullptr) offsets += args.offsets.w;
  }
}

// ---- backward: one place of the image at a time, of all channels -------------------------------

// Where a place finds the gradients of the windows that cover it.
template <class T, class Offset>
struct CoveringWindows {
  Covering rows, cols;
  int64_t kernel_w;
  const T* grad;  // of window (rows.output, cols.output), and the steps to those before it
  int64_t grad_h, grad_w;
  const Offset* offsets;
  int64_t offsets_h, offsets_w;
};

// The sum of the gradients of those windows that chose the place. kRows x kCols windows, if these
// are not 0.
template <bool kWhole, int kRows, int kCols, class T, class Offset>
inline void pool_backward_lanes(const CoveringWindows<T, Offset>& w, int64_t c, T* grad_x,
                                int64_t lanes) {
  using Acc = Accumulator<T>;
  const int64_t n = kWhole ? kLanes<Acc> : lanes;
  const int64_t height = kRows > 0 ? kRows : w.rows.count, width = kCols > 0 ? kCols : w.cols.count;
  const Vec<Acc> zero = {};
  Vec<Acc> sum = {};
#pragma GCC unroll 3
  for (int64_t i = 0; i < height; ++i) {
#pragma GCC unroll 3
    for (int64_t j = 0; j < width; ++j) {
      const Bits<Acc> tap =
          (w.rows.tap + i * w.rows.tap_step) * w.kernel_w + w.cols.tap + j * w.cols.tap_step;
      const Vec<Bits<Acc>> chosen =
          load_offsets<Acc>(w.offsets + c - i * w.offsets_h - j * w.offsets_w, 0, n);
      const Vec<Acc> g = load_lanes(w.grad + c - i * w.grad_h - j * w.grad_w, n);
      sum += chosen == tap ? g : zero;
    }
  }
  store_lanes(grad_x + c, sum, n);
}

template <int kRows, int kCols, class T, class Offset>
inline void pool_backward_channels(const CoveringWindows<T, Offset>& windows, int64_t channels,
                                   T* grad_x) {
  constexpr int64_t kStep = kLanes<Accumulator<T>>;
  int64_t c = 0;
  for (; c + kStep <= channels; c += kStep) {
    pool_backward_lanes<true, kRows, kCols>(windows, c, grad_x, kStep);
  }
  if (c < channels) pool_backward_lanes<false, kRows, kCols>(windows, c, grad_x, channels - c);
}

template <class T, class Offset>
void pool_backward_row_of_channels(const Pool2dArgs<T, const T, const Offset>& args, int64_t image,
                                   int64_t row) {
  const Pool2dShape& s = args.shape;
  const Covering rows = covering(row, s.out_h, s.kernel_h, s.stride_h, s.pad_h, s.dilation_h);
  const T* grad_out = args.out.data + image * args.out.n + rows.output * args.out.h;
  const Offset* offsets = args.offsets.data + image * args.offsets.n + rows.output * args.offsets.h;
  T* grad_x = args.x.data + image * args.x.n + row * args.x.h;
  for (int64_t col = 0; col < s.in_w; ++col, grad_x += args.x.w) {
    const Covering cols = covering(col, s.out_w, s.kernel_w, s.stride_w, s.pad_w, s.dilation_w);
    const CoveringWindows<T, Offset> windows = {rows,
                                                cols,
                                                s.kernel_w,
                                                grad_out + cols.output * args.out.w,
                                                rows.output_step * args.out.h,
                                                cols.output_step * args.out.w,
                                                offsets + cols.output * args.offsets.w,
                                                rows.output_step * args.offsets.h,
                                                cols.output_step * args.offsets.w};
    const int64_t counts = least<int64_t>(rows.count, 9) * 10 + least<int64_t>(cols.count, 9);
    switch (counts) {
      case 11:
        pool_backward_channels<1, 1>(windows, s.channels, grad_x);
        break;
      case 12:
        pool_backward_channels<1, 2>(windows, s.channels, grad_x);
        break;
      case 21:
        pool_backward_channels<2, 1>(windows, s.channels, grad_x);
        break;
      case 22:
        pool_backward_channels<2, 2>(windows, s.channels, grad_x);
        break;
      case 33:
        pool_backward_channels<3, 3>(windows, s.channels, grad_x);
        break;
      default:
        pool_backward_channels<0, 0>(windows, s.channels, grad_x);
    }
  }
}
