// The gradient of pooling with the lanes along rows of grad_x, which gathers from the windows that
// cover them.

// The sums of the gradients of kLanes windows, and of those before that reach into theirs, by the
// remainder of the column they belong to.
template <int kKernel, int kStep, bool kInside, class T, class Offset>
inline void add_row_of_windows(const T* grad_out, const Offset* offsets, int64_t at, int64_t out_w,
                               int64_t kernel_w, Bits<Accumulator<T>> first_tap,
                               Vec<Accumulator<T>> (&sums)[kStep]) {
  using Acc = Accumulator<T>;
  const int64_t width = kKernel > 0 ? kKernel : kernel_w;
  const Vec<Acc> zero = {};
#pragma GCC unroll 2
  for (int phase = 0; phase < kStep; ++phase) {
#pragma GCC unroll 3
    for (int64_t j = phase; j < width; j += kStep) {
      const int64_t window = at - (j - phase) / kStep;
      const int64_t from = kInside ? 0 : clamp(-window, 0, kLanes<Acc>);
      const int64_t to = kInside ? kLanes<Acc> : clamp(out_w - window, from, kLanes<Acc>);
      const Vec<Bits<Acc>> chosen = load_offsets<Acc>(offsets + window, from, to);
      const Vec<Acc> g = load_columns_of<kInside>(grad_out, window, out_w, zero);
      sums[phase] += chosen == first_tap + Bits<Acc>(j) ? g : zero;
    }
  }
}

// Blocks of kLanes windows and of the kStep · kLanes elements that begin in them.
template <int kKernel, int kStep, class T, class Offset>
void pool_backward_row_in_steps(const Pool2dArgs<T, const T, const Offset>& args, const T* grad_out,
                                const Offset* offsets, const Covering& rows, T* grad_x) {
  using Acc = Accumulator<T>;
  constexpr int64_t kBlock = kLanes<Acc>;
  const Pool2dShape& s = args.shape;
  const int64_t kernel_w = kKernel > 0 ? kKernel : s.kernel_w;
  const int64_t before = (kernel_w - 1) / kStep;  // windows that reach into those of a block
  for (int64_t at = 0; at * kStep - s.pad_w < s.in_w; at += kBlock) {
    const bool inside = at >= before && at + kBlock <= s.out_w;
    Vec<Acc> sums[kStep] = {};
    for (int64_t i = 0; i < rows.count; ++i) {
      const T* g = grad_out + (rows.output - i * rows.output_step) * args.out.h;
      const Offset* o = offsets + (rows.output - i * rows.output_step) * args.offsets.h;
      const Bits<Acc> first_tap = (rows.tap + i * rows.tap_step) * kernel_w;
      if (inside) {
        add_row_of_windows<kKernel, kStep, true>(g, o, at, s.out_w, kernel_w, first_tap, sums);
      } else {
        add_row_of_windows<kKernel, kStep, false>(g, o, at, s.out_w, kernel_w, first_tap, sums);
      }
    }
    const int64_t first = at * kStep - s.pad_w;
    if constexpr (kStep == 1) {
      store_columns_of(grad_x, first, s.in_w, sums[0]);
    } else {
      store_columns_of(grad_x, first, s.in_w, in_turn<0, Acc>(sums[0], sums[1]));
      store_columns_of(grad_x, first + kBlock, s.in_w, in_turn<1, Acc>(sums[0], sums[1]));
    }
  }
}

// Every window, stride and layout.
template <class T, class Offset>
void pool_backward_row_by_taps(const Pool2dArgs<T, const T, const Offset>& args, const T* grad_out,
                               const Offset* offsets, const Covering& rows, T* grad_x) {
  using Acc = Accumulator<T>;
  constexpr int64_t kBlock = 256;
  const Pool2dShape& s = args.shape;
  for (int64_t begin = 0; begin < s.in_w; begin += kBlock) {
    const int64_t n = least(kBlock, s.in_w - begin);
    Acc sums[kBlock] = {};
    for (int64_t i = 0; i < rows.count; ++i) {
      const int64_t out_row = rows.output - i * rows.output_step;
      const T* g = grad_out + out_row * args.out.h;
      const Offset* chosen = offsets + out_row * args.offsets.h;
      for (int64_t j = 0; j < s.kernel_w; ++j) {
        const int64_t shift = j * s.dilation_w - s.pad_w - begin;  // place = col · stride + shift
        const int64_t last = clamp(floor_quotient(n - 1 - shift, s.stride_w) + 1, 0, s.out_w);
        const Offset tap = (rows.tap + i * rows.tap_step) * s.kernel_w + j;
        for (int64_t col = clamp(ceil_quotient(-shift, s.stride_w), 0, last); col < last; ++col) {
          if (chosen[col * args.offsets.w] != tap) continue;
          sums[col * s.stride_w + shift] += widen(g[col * args.out.w]);
        }
      }
    }
    for (int64_t i = 0; i < n; ++i) narrow(sums[i], grad_x + (begin + i) * args.x.w);
  }
}

template <class T, class Offset>
int64_t pool_backward_row(const Pool2dArgs<T, const T, const Offset>& args, int64_t image,
                          int64_t channel, int64_t row, int64_t /*most*/) {
  const Pool2dShape& s = args.shape;
  const Covering rows = covering(row, s.out_h, s.kernel_h, s.stride_h, s.pad_h, s.dilation_h);
  const T* grad_out = args.out.data + image * args.out.n + channel * args.out.c;
  const Offset* offsets = args.offsets.data + image * args.offsets.n + channel * args.offsets.c;
  T* grad_x = args.x.data + image * args.x.n + channel * args.x.c + row * args.x.h;
  const int64_t step = row_step(args);
  if (step == 2 && s.kernel_w == 2) {
    pool_backward_row_in_steps<2, 2>(args, grad_out, offsets, rows, grad_x);
  } else if (step == 2 && s.kernel_w == 3) {
    pool_backward_row_in_steps<3, 2>(args, grad_out, offsets, rows, grad_x);
  } else if (step == 1 && s.kernel_w == 3) {
    pool_backward_row_in_steps<3, 1>(args, grad_out, offsets, rows, grad_x);
  } else if (step == 2) {
    pool_backward_row_in_steps<0, 2>(args, grad_out, offsets, rows, grad_x);
  } else if (step == 1) {
    pool_backward_row_in_steps<0, 1>(args, grad_out, offsets, rows, grad_x);
  } else {
    pool_backward_row_by_taps(args, grad_out, offsets, rows, grad_x);
  }
  return 1;
}

// ---- windows of 2 x 2, side by side: a row of them has the gradients of two rows of the input ---

// Whether windows lie side by side, from the first row and column on.
template <class X, class O, class Offset>
inline bool are_quads(const Pool2dArgs<X, O, Offset>& args) {
  const Pool2dShape& s = args.shape;
  return s.kernel_h == 2 && s.stride_h == 2 && s.pad_h == 0 && s.dilation_h == 1 &&
         s.kernel_w == 2 && s.pad_w == 0 && row_step(args) == 2;
}

// Two rows of grad_x, at most `most`, if they belong to the same windows; else one.
template <class T, class Offset>
int64_t pool_backward_quads(const Pool2dArgs<T, const T, const Offset>& args, int64_t image,
                            int64_t channel, int64_t row, int64_t most) {
  using Acc = Accumulator<T>;
  constexpr int64_t kBlock = kLanes<Acc>;
  const Pool2dShape& s = args.shape;
  if (row % 2 != 0 || most < 2 || row / 2 >= s.out_h) {
    return pool_backward_row(args, image, channel, row, most);
  }
  const T* grad_out =
      args.out.data + image * args.out.n + channel * args.out.c + row / 2 * args.out.h;
  const Offset* offsets = args.offsets.data + image * args.offsets.n + channel * args.offsets.c +
                          row / 2 * args.offsets.h;
  T* top = args.x.data + image * args.x.n + channel * args.x.c + row * args.x.h;
  const Vec<Acc> zero = {};
  for (int64_t at = 0; 2 * at < s.in_w; at += kBlock) {
    const int64_t n = clamp(s.out_w - at, 0, kBlock);
    const Vec<Acc> g = load_lanes(grad_out + at, n);
    const Vec<Bits<Acc>> chosen = load_offsets<Acc>(offsets + at, 0, n);
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      const Vec<Acc> left = chosen == Bits<Acc>(2 * i) ? g : zero;
      const Vec<Acc> right = chosen == Bits<Acc>(2 * i + 1) ? g : zero;
      T* to = top + i * args.x.h;
      store_columns_of(to, 2 * at, s.in_w, in_turn<0, Acc>(left, right));
      store_columns_of(to, 2 * at + kBlock, s.in_w, in_turn<1, Acc>(left, right));
    }
  }
  return 2;
}
