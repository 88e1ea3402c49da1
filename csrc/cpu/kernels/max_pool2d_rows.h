// Pooling with the lanes along rows. With steps of 1 or 2 along contiguous rows, elements are
// loaded as they lie; all other windows take theirs one by one.

// Rows whose blocks are loaded as they lie, by their step; 0 for the others.
template <class X, class O, class Offset>
inline int64_t row_step(const Pool2dArgs<X, O, Offset>& args) {
  const Pool2dShape& s = args.shape;
  const bool contiguous =
      args.x.w == 1 && args.out.w == 1 && (args.offsets.data == nullptr || args.offsets.w == 1);
  const bool steps = s.stride_w == 1 || (s.stride_w == 2 && s.kernel_w >= 2);
  return contiguous && steps && s.dilation_w == 1 ? s.stride_w : 0;
}

// kLanes elements from a column on, of which those inside the row are loaded.
template <bool kInside, class T>
inline Vec<Accumulator<T>> load_columns_of(const T* row, int64_t col, int64_t width,
                                           Vec<Accumulator<T>> outside) {
  using Acc = Accumulator<T>;
  if constexpr (kInside) {
    return load(row + col);
  } else {
    const int64_t from = clamp(-col, 0, kLanes<Acc>), to = clamp(width - col, from, kLanes<Acc>);
    return load_between(row + col, from, to, outside);
  }
}

template <class T>
inline void store_columns_of(T* row, int64_t col, int64_t width, Vec<Accumulator<T>> v) {
  constexpr int64_t kBlock = kLanes<Accumulator<T>>;
  if (col >= 0 && col + kBlock <= width) return store(row + col, v);
  const int64_t from = clamp(-col, 0, kBlock), to = clamp(width - col, from, kBlock);
  if (from < to) store_between(row + col, v, from, to);
}

// Of kLanes windows kStep apart, if their taps are loaded as they lie.
template <int kStep, bool kInside, class T>
struct RowTaps {
  using Acc = Accumulator<T>;
  const T* top;  // the row of tap (0, 0)
  int64_t row_step, col, width;
  Vec<Acc> outside;

  Vec<Acc> operator()(int64_t i, int64_t j) const {
    const T* row = top + i * row_step;
    if constexpr (kStep == 1) {
      return load_columns_of<kInside>(row, col + j, width, outside);
    } else {  // what is loaded ends with the last tap, so that it need not be beyond the row
      const int64_t start = j == 0 ? col : col + j - 1;
      const Vec<Acc> low = load_columns_of<kInside>(row, start, width, outside);
      const Vec<Acc> high = load_columns_of<kInside>(row, start + kLanes<Acc>, width, outside);
      return j == 0 ? every_second<0, Acc>(low, high) : every_second<1, Acc>(low, high);
    }
  }
};

// All taps of windows of kSize rows and columns, which maximum and offsets need twice.
template <int kSize, int kStep, bool kInside, class T>
struct HeldTaps {
  using Acc = Accumulator<T>;
  Vec<Acc> taps[kSize][kSize];

  [[gnu::always_inline]] explicit HeldTaps(const RowTaps<kStep, kInside, T>& from) {
#pragma GCC unroll 3
    for (int i = 0; i < kSize; ++i) {
      if constexpr (kStep == 1) {
#pragma GCC unroll 3
        for (int j = 0; j < kSize; ++j) taps[i][j] = from(i, j);
      } else {
        static_assert(kSize <= 3);
        const T* row = from.top + i * from.row_step;
        const Vec<Acc> low = load_columns_of<kInside>(row, from.col, from.width, from.outside);
        const Vec<Acc> high =
            load_columns_of<kInside>(row, from.col + kLanes<Acc>, from.width, from.outside);
        taps[i][0] = every_second<0, Acc>(low, high);
        taps[i][1] = every_second<1, Acc>(low, high);
        if constexpr (kSize == 3) taps[i][2] = from(i, 2);
      }
    }
  }
  Vec<Acc> operator()(int64_t i, int64_t j) const { return taps[i][j]; }
};

// Of the first n of kLanes windows, whatever their steps.
template <class T>
struct AnyTaps {
  using Acc = Accumulator<T>;
  const T* top;
  int64_t row_step, col_step;
  int64_t col, width, stride, dilation, n;
  Acc outside;

  Vec<Acc> operator()(int64_t i, int64_t j) const {
    const int64_t first = col + j * dilation;
    const int64_t from = clamp(ceil_quotient(-first, stride), 0, n);
    const int64_t to = clamp(floor_quotient(width - 1 - first, stride) + 1, from, n);
    Acc line[kLanes<Acc>];
    for (Acc& element : line) element = outside;
    copy_run(top + i * row_step + (first + from * stride) * col_step, stride * col_step,
             line + from, 1, to - from);
    return load(line);
  }
};

// The offsets that windows begin with: of their first taps inside the image, or -1.
template <class T>
inline Vec<Bits<T>> first_taps(const Pool2dShape& s, Inside rows, int64_t first_col) {
  if (rows.first == rows.last) return ~Vec<Bits<T>>{};
  const Bits<T> row_tap = rows.first * s.kernel_w;
  if (first_col >= 0) return broadcast(row_tap);
  Bits<T> taps[kLanes<T>];
  if (s.dilation_w == 1 && s.pad_w < (1 << 16)) {
    const Bits<T> before = -first_col, step = least(s.stride_w, s.pad_w);
    for (int lane = 0; lane < kLanes<T>; ++lane) {
      const Bits<T> tap = before - lane * step;
      taps[lane] = row_tap + (tap > 0 ? tap : 0);
    }
    return load(taps);
  }
  for (int lane = 0; lane < kLanes<T>; ++lane) {
    const Inside cols =
        taps_inside(first_col + lane * s.stride_w, s.in_w, s.kernel_w, s.dilation_w);
    taps[lane] = cols.first == cols.last ? -1 : row_tap + cols.first;
  }
  return load(taps);
}

// The largest of taps that are loaded as they lie.
template <int kKernel, int kStep, bool kInside, class T>
[[gnu::always_inline]] inline Found<Accumulator<T>> largest_of_row(
    const RowTaps<kStep, kInside, T>& taps, const Pool2dShape& s, Inside rows,
    Vec<Bits<Accumulator<T>>> first, bool wants_offsets) {
  if constexpr (kKernel > 0) {
    if (s.kernel_h == kKernel && rows.last - rows.first == kKernel) {
      const HeldTaps<kKernel, kStep, kInside, T> held(taps);
      return largest<kKernel, kKernel, T>(held, rows, {0, kKernel}, kKernel, first, wants_offsets);
    }
  }
  const Inside cols = {0, kKernel > 0 ? kKernel : s.kernel_w};
  return largest<0, kKernel, T>(taps, rows, cols, cols.last, first, wants_offsets);
}

// kKernel: the width of the window, if it is not 0. kStep: as row_step has it.
template <bool kGather, int kKernel, int kStep, class T, class O, class Offset>
int64_t pool_row(const Pool2dArgs<const T, O, Offset>& args, int64_t image, int64_t channel,
                 int64_t out_row, int64_t /*most*/) {
  using Acc = Accumulator<T>;
  constexpr int64_t kBlock = kLanes<Acc>;
  const Pool2dShape& s = args.shape;
  const int64_t top = out_row * s.stride_h - s.pad_h;
  const Inside rows = taps_inside(top, s.in_h, s.kernel_h, s.dilation_h);
  const Inside cols = {0, kKernel > 0 ? kKernel : s.kernel_w};
  const int64_t n = least(kBlock, s.out_w);
  const T* x = args.x.data + image * args.x.n + channel * args.x.c + top * args.x.h;
  O* out = args.out.data + image * args.out.n + channel * args.out.c + out_row * args.out.h;
  Offset* offsets = args.offsets.data;
  if (offsets != nullptr) {
    offsets += image * args.offsets.n + channel * args.offsets.c + out_row * args.offsets.h;
  }
  for (int64_t begin = 0; begin < s.out_w; begin += kBlock) {
    const int64_t at = least(begin, s.out_w - n);  // the last block goes over some outputs again
    const int64_t col = at * s.stride_w - s.pad_w;
    const int64_t step_h = s.dilation_h * args.x.h;
    if constexpr (kStep > 0) {
      const Vec<Bits<Acc>> first = first_taps<Acc>(s, rows, col);
      const Vec<Acc> outside = broadcast(lowest<T>());
      const int64_t reach = (kBlock - 1) * kStep + cols.last;
      const bool inside = n == kBlock && col >= 0 && col + reach <= s.in_w;
      Found<Acc> found;
      if (inside) {
        const RowTaps<kStep, true, T> taps = {x, step_h, col, s.in_w, outside};
        found = largest_of_row<kKernel>(taps, s, rows, first, offsets != nullptr);
      } else {
        const RowTaps<kStep, false, T> taps = {x, step_h, col, s.in_w, outside};
        found = largest_of_row<kKernel>(taps, s, rows, first, offsets != nullptr);
      }
      if (args.relu) found = rectified(found);
      store_lanes(out + at, found.value, n);
      if (offsets != nullptr) store_offsets<Acc>(offsets + at, found.offset, n);
    } else {
      const AnyTaps<T> taps = {x,
                               step_h,
                               args.x.w,
                               col,
                               s.in_w,
                               s.stride_w,
                               s.dilation_w,
                               n,
                               kGather ? Acc(0) : lowest<T>()};
      Acc values[kBlock];
      Bits<Acc> chosen[kBlock] = {};
      if constexpr (kGather) {
        for (int64_t i = 0; i < n; ++i) chosen[i] = offsets[(at + i) * args.offsets.w];
        store(values, gathered<T>(taps, rows, cols, s.kernel_w, load(chosen)));
      } else {
        Found<Acc> found = largest<0, 0, T>(taps, rows, cols, s.kernel_w,
                                            first_taps<Acc>(s, rows, col), offsets != nullptr);
        if (args.relu) found = rectified(found);
        store(values, found.value);
        store(chosen, found.offset);
        for (int64_t i = 0; offsets != nullptr && i < n; ++i) {
          offsets[(at + i) * args.offsets.w] = Offset(chosen[i]);
        }
      }
      for (int64_t i = 0; i < n; ++i) narrow(values[i], out + (at + i) * args.out.w);
    }
  }
  return 1;
}
