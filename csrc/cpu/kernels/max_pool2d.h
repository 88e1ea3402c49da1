// Max-pooling, its gradient, and the gather that is the gradient of the gradient.
//
// A window offset is kernel_row * kernel_w + kernel_col of the maximum. Lanes run along the
// channels where those are contiguous, else along the output row. All three visit the taps of a
// window in scan order, so the first maximum wins and sums have one fixed order. NaN wins over
// every number, and the last NaN over the others.

template <class T, class Offset>
inline Vec<Bits<T>> load_offsets(const Offset* p) {
  const typename NarrowVec<T, Offset>::type v =
      *reinterpret_cast<const typename NarrowVec<T, Offset>::unaligned*>(p);
  return __builtin_convertvector(v, Vec<Bits<T>>);
}
template <class T, class Offset>
inline void store_offsets(Offset* p, Vec<Bits<T>> offsets) {
  typedef typename NarrowVec<T, Offset>::type Narrow;
  *reinterpret_cast<typename NarrowVec<T, Offset>::unaligned*>(p) =
      __builtin_convertvector(offsets, Narrow);
}
template <class T, class Offset>
inline Vec<Bits<T>> load_first_offsets(const Offset* p, int64_t n) {
  Offset buffer[kLanes<T>] = {};
  for (int64_t i = 0; i < n; ++i) buffer[i] = p[i];
  return load_offsets<T>(buffer);
}
template <class T, class Offset>
inline void store_first_offsets(Offset* p, Vec<Bits<T>> offsets, int64_t n) {
  Offset buffer[kLanes<T>];
  store_offsets<T>(buffer, offsets);
  for (int64_t i = 0; i < n; ++i) p[i] = buffer[i];
}

// What a maximum is before anything was seen: -inf, or the least integer.
template <class T>
constexpr Accumulator<T> lowest() {
  constexpr bool is_float = Accumulator<T>(0.5) != 0;
  if constexpr (is_float) {
    return Accumulator<T>(-__builtin_inf());
  } else {
    constexpr T sign_bit = T(T(1) << (8 * sizeof(T) - 1));
    return sign_bit < 0 ? sign_bit : T(0);
  }
}

// What a window has found so far, in each lane.
template <class T>
struct Windows {
  Vec<T> value;
  Vec<Bits<T>> offset;

  static Windows start_max(T lowest) { return {broadcast(lowest), ~Vec<Bits<T>>{}}; }
  static Windows start_gather(Vec<Bits<T>> chosen) { return {Vec<T>{}, chosen}; }

  // The first tap is taken whatever it is: -inf may be all there is.
  Vec<Bits<T>> is_larger(Vec<T> v) const { return (v > value) | (v != v) | (offset < 0); }
  Vec<Bits<T>> is_chosen(Bits<T> tap) const { return offset == tap; }

  void take(Vec<Bits<T>> where, Vec<T> v, Bits<T> tap) {
    value = where ? v : value;
    offset = where ? broadcast<Bits<T>>(tap) : offset;
  }
};

// ---- lanes along the output row ----------------------------------------------------------------

// Rows of the accumulator type in scratch, rounded up to whole vectors.
template <class T>
inline int64_t row_size(int64_t n) {
  static_assert(kLanes<T> <= kPoolRowRounding, "scratch is counted for narrower vectors");
  return ceil_div<int64_t>(n, kLanes<T>) * kLanes<T>;
}

template <bool kGather, class T, class O, class Offset>
void pool_row(const Pool2dArgs<const T, O, Offset>& args, int64_t item, void* scratch) {
  using Acc = Accumulator<T>;
  using Raw = Bits<Acc>;
  const Pool2dShape& s = args.shape;
  const int64_t out_row = item % s.out_h, channel = item / s.out_h % s.channels;
  const int64_t image = item / s.out_h / s.channels;
  const int64_t size = row_size<Acc>(s.out_w);
  Acc* value = static_cast<Acc*>(scratch);  // [size] each
  Acc* taps = value + size;
  Raw* offset = reinterpret_cast<Raw*>(taps + size);

  Offset* offsets = args.offsets.data;
  if (offsets != nullptr) {
    offsets += image * args.offsets.n + channel * args.offsets.c + out_row * args.offsets.h;
  }
  for (int64_t i = 0; i < size; ++i) value[i] = kGather ? Acc(0) : lowest<T>();
  for (int64_t i = 0; i < size; ++i) {
    offset[i] = kGather && i < s.out_w ? Raw(offsets[i * args.offsets.w]) : Raw(-1);
  }

  Raw lane_numbers[kLanes<Acc>];
  for (int i = 0; i < kLanes<Acc>; ++i) lane_numbers[i] = i;
  const Vec<Raw> lanes = load(lane_numbers);

  const T* plane = args.x.data + image * args.x.n + channel * args.x.c;
  for (int64_t i = 0; i < s.kernel_h; ++i) {
    const int64_t row = out_row * s.stride_h - s.pad_h + i * s.dilation_h;
    if (!within(row, s.in_h)) continue;
    for (int64_t j = 0; j < s.kernel_w; ++j) {
      const Inside in = tap_inside(j, s.in_w, s.out_w, s.stride_w, s.pad_w, s.dilation_w);
      if (in.first >= in.last) continue;
      const int64_t col = in.first * s.stride_w - s.pad_w + j * s.dilation_w;
      copy_run(plane + row * args.x.h + col * args.x.w, s.stride_w * args.x.w, taps + in.first, 1,
               in.last - in.first);
      const Raw tap = i * s.kernel_w + j;
      for (int64_t w = 0; w < s.out_w; w += kLanes<Acc>) {
        Windows<Acc> windows = {load(value + w), load_offsets<Acc>(offset + w)};
        const Vec<Acc> v = load(taps + w);
        Vec<Raw> where = kGather ? windows.is_chosen(tap) : windows.is_larger(v);
        where &= (lanes >= Raw(clamp(in.first - w, 0, kLanes<Acc>))) &
                 (lanes < Raw(clamp(in.last - w, 0, kLanes<Acc>)));
        windows.take(where, v, tap);
        store(value + w, windows.value);
        store_offsets<Acc>(offset + w, windows.offset);
      }
    }
  }

  O* out = args.out.data + image * args.out.n + channel * args.out.c + out_row * args.out.h;
  for (int64_t w = 0; w < s.out_w; ++w) narrow(value[w], out + w * args.out.w);
  if constexpr (!kGather) {
    if (offsets != nullptr) {
      for (int64_t w = 0; w < s.out_w; ++w) offsets[w * args.offsets.w] = Offset(offset[w]);
    }
  }
}

// One row of grad_x: every window that may have chosen one of its elements, in order.
template <class T, class Offset>
void pool_backward_row(const Pool2dArgs<T, const T, const Offset>& args, int64_t item,
                       void* scratch) {
  using Acc = Accumulator<T>;
  using Raw = Bits<Acc>;
  const Pool2dShape& s = args.shape;
  const int64_t row = item % s.in_h, channel = item / s.in_h % s.channels;
  const int64_t image = item / s.in_h / s.channels;
  const int64_t size = row_size<Acc>(s.out_w);
  Acc* grad = static_cast<Acc*>(scratch);  // [size] each
  Acc* chosen = grad + size;
  Raw* offset = reinterpret_cast<Raw*>(chosen + size);
  Acc* sum = reinterpret_cast<Acc*>(offset + size);  // [in_w]
  fill_zero(sum, 1, s.in_w);

  for (int64_t i = 0; i < s.kernel_h; ++i) {
    const int64_t out_row = floor_quotient(row + s.pad_h - i * s.dilation_h, s.stride_h);
    if (!within(out_row, s.out_h) || out_row * s.stride_h != row + s.pad_h - i * s.dilation_h)
      continue;
    copy_run(args.out.data + image * args.out.n + channel * args.out.c + out_row * args.out.h,
             args.out.w, grad, 1, s.out_w);
    const Offset* offsets = args.offsets.data + image * args.offsets.n + channel * args.offsets.c +
                            out_row * args.offsets.h;
    for (int64_t w = 0; w < s.out_w; ++w) offset[w] = Raw(offsets[w * args.offsets.w]);
    for (int64_t j = 0; j < s.kernel_w; ++j) {
      const Raw tap = i * s.kernel_w + j;
      const Vec<Acc> zero = {};
      for (int64_t w = 0; w < s.out_w; w += kLanes<Acc>) {
        store(chosen + w, load_offsets<Acc>(offset + w) == tap ? load(grad + w) : zero);
      }
      const Inside in = tap_inside(j, s.in_w, s.out_w, s.stride_w, s.pad_w, s.dilation_w);
      if (in.first >= in.last) continue;
      Acc* target = sum + (in.first * s.stride_w - s.pad_w + j * s.dilation_w);
      for (int64_t w = 0; w < in.last - in.first; ++w)
        target[w * s.stride_w] += chosen[in.first + w];
    }
  }

  T* grad_x = args.x.data + image * args.x.n + channel * args.x.c + row * args.x.h;
  for (int64_t w = 0; w < s.in_w; ++w) narrow(sum[w], grad_x + w * args.x.w);
}

// ---- lanes along contiguous channels -----------------------------------------------------------

template <bool kGather, class T, class O, class Offset>
void pool_row_of_channels(const Pool2dArgs<const T, O, Offset>& args, int64_t item) {
  using Acc = Accumulator<T>;
  const Pool2dShape& s = args.shape;
  const int64_t out_row = item % s.out_h, image = item / s.out_h;
  const int64_t top = out_row * s.stride_h - s.pad_h;
  for (int64_t out_col = 0; out_col < s.out_w; ++out_col) {
    const int64_t left = out_col * s.stride_w - s.pad_w;
    for (int64_t c = 0; c < s.channels; c += kLanes<Acc>) {
      const int64_t lanes = least<int64_t>(kLanes<Acc>, s.channels - c);
      const bool whole = lanes == kLanes<Acc>;
      Offset* offsets = args.offsets.data;
      if (offsets != nullptr) {
        offsets += image * args.offsets.n + c + out_row * args.offsets.h + out_col * args.offsets.w;
      }
      Windows<Acc> windows = Windows<Acc>::start_max(lowest<T>());
      if constexpr (kGather) {
        windows = Windows<Acc>::start_gather(whole ? load_offsets<Acc>(offsets)
                                                   : load_first_offsets<Acc>(offsets, lanes));
      }
      for (int64_t i = 0; i < s.kernel_h; ++i) {
        const int64_t row = top + i * s.dilation_h;
        if (!within(row, s.in_h)) continue;
        for (int64_t j = 0; j < s.kernel_w; ++j) {
          const int64_t col = left + j * s.dilation_w;
          if (!within(col, s.in_w)) continue;
          const T* p = args.x.data + image * args.x.n + c + row * args.x.h + col * args.x.w;
          const Vec<Acc> v = whole ? load(p) : load_first(p, lanes);
          const Bits<Acc> tap = i * s.kernel_w + j;
          windows.take(kGather ? windows.is_chosen(tap) : windows.is_larger(v), v, tap);
        }
      }
      O* out = args.out.data + image * args.out.n + c + out_row * args.out.h + out_col * args.out.w;
      whole ? store(out, windows.value) : store_first(out, windows.value, lanes);
      if constexpr (!kGather) {
        if (offsets == nullptr) continue;
        whole ? store_offsets<Acc>(offsets, windows.offset)
              : store_first_offsets<Acc>(offsets, windows.offset, lanes);
      }
    }
  }
}

template <class T, class Offset>
void pool_backward_row_of_channels(const Pool2dArgs<T, const T, const Offset>& args, int64_t item) {
  using Acc = Accumulator<T>;
  const Pool2dShape& s = args.shape;
  const int64_t row = item % s.in_h, image = item / s.in_h;
  for (int64_t col = 0; col < s.in_w; ++col) {
    for (int64_t c = 0; c < s.channels; c += kLanes<Acc>) {
      const int64_t lanes = least<int64_t>(kLanes<Acc>, s.channels - c);
      const bool whole = lanes == kLanes<Acc>;
      Vec<Acc> sum = {};
      for (int64_t i = 0; i < s.kernel_h; ++i) {
        const int64_t shifted_row = row + s.pad_h - i * s.dilation_h;
        const int64_t out_row = floor_quotient(shifted_row, s.stride_h);
        if (!within(out_row, s.out_h) || out_row * s.stride_h != shifted_row) continue;
        for (int64_t j = 0; j < s.kernel_w; ++j) {
          const int64_t shifted_col = col + s.pad_w - j * s.dilation_w;
          const int64_t out_col = floor_quotient(shifted_col, s.stride_w);
          if (!within(out_col, s.out_w) || out_col * s.stride_w != shifted_col) continue;
          const Offset* offsets = args.offsets.data + image * args.offsets.n + c +
                                  out_row * args.offsets.h + out_col * args.offsets.w;
          const T* grad =
              args.out.data + image * args.out.n + c + out_row * args.out.h + out_col * args.out.w;
          const Vec<Bits<Acc>> offset =
              whole ? load_offsets<Acc>(offsets) : load_first_offsets<Acc>(offsets, lanes);
          const Vec<Acc> g = whole ? load(grad) : load_first(grad, lanes);
          const Vec<Acc> zero = {};
          sum += offset == Bits<Acc>(i * s.kernel_w + j) ? g : zero;
        }
      }
      T* grad_x = args.x.data + image * args.x.n + c + row * args.x.h + col * args.x.w;
      whole ? store(grad_x, sum) : store_first(grad_x, sum, lanes);
    }
  }
}

// ---- entries -----------------------------------------------------------------------------------

template <bool kGather, class T, class O, class Offset>
void pool(const Pool2dArgs<const T, O, Offset>& args, int64_t begin, int64_t end, void* scratch) {
  const bool channels_last = channels_contiguous(args);
  for (int64_t item = begin; item < end; ++item) {
    if (channels_last) {
      pool_row_of_channels<kGather>(args, item);
    } else {
      pool_row<kGather>(args, item, scratch);
    }
  }
}

template <class T, class Offset>
void max_pool2d(const Pool2dArgs<const T, T, Offset>& args, int64_t begin, int64_t end,
                void* scratch) {
  pool<false>(args, begin, end, scratch);
}

template <class T, class Offset>
void max_pool2d_gather(const Pool2dArgs<const T, T, const Offset>& args, int64_t begin, int64_t end,
                       void* scratch) {
  pool<true>(args, begin, end, scratch);
}

template <class T, class Offset>
void max_pool2d_backward(const Pool2dArgs<T, const T, const Offset>& args, int64_t begin,
                         int64_t end, void* scratch) {
  const bool channels_last = channels_contiguous(args);
  for (int64_t item = begin; item < end; ++item) {
    if (channels_last) {
      pool_backward_row_of_channels(args, item);
    } else {
      pool_backward_row(args, item, scratch);
    }
  }
}
