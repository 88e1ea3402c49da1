// How an index of a matrix maps to memory, when rows, columns or the summed dimension of a matrix
// are really several dimensions of a tensor, and copies along such an index.

// Up to three tensor dimensions counted as one: index = (i2 * extent1 + i1) * extent0 + i0.
struct Axis {
  int64_t extent0, extent1;
  int64_t stride0, stride1, stride2;

  int64_t offset(int64_t index) const {
    if (extent0 == kEndless) return index * stride0;
    const int64_t rest = index / extent0;
    return (index - rest * extent0) * stride0 + (rest % extent1) * stride1 +
           (rest / extent1) * stride2;
  }
  // How many indices from `index` on lie stride0 apart, `most` at the most.
  int64_t run(int64_t index, int64_t most) const {
    if (extent0 == kEndless) return most;
    const int64_t left = extent0 - index % extent0;
    return left < most ? left : most;
  }

  static constexpr int64_t kEndless = INT64_MAX;
};

inline Axis axis(int64_t stride) { return {Axis::kEndless, 1, stride, 0, 0}; }

// The dimensions (2, 1, 0) with the given extents and strides, joined where memory lets them.
inline Axis axis(int64_t stride2, int64_t extent1, int64_t stride1, int64_t extent0,
                 int64_t stride0) {
  for (int dims = 0; dims < 2 && extent0 == 1; ++dims) {  // dimensions of one element do not count
    extent0 = extent1;
    stride0 = stride1;
    extent1 = 1;
    stride1 = stride2;
  }
  if (extent0 == 1) return axis(stride2);
  const bool joined1 = extent1 == 1 || stride1 == extent0 * stride0;
  if (joined1 && stride2 == extent1 * extent0 * stride0) return axis(stride0);
  return {extent0, extent1, stride0, stride1, stride2};
}

// The pixels of one plane.
inline Axis axis(int64_t height, int64_t stride_h, int64_t width, int64_t stride_w) {
  return axis(height * stride_h, height, stride_h, width, stride_w);
}

template <class T>
inline T least(T a, T b) {
  return a < b ? a : b;
}

// Packing keeps the storage type where the kernel multiplies it directly, else the accumulator
// type.
template <class T>
inline void pack_element(T x, Accumulator<T>* out) {
  *out = widen(x);
}
inline void pack_element(bf16 x, bf16* out) { *out = x; }

template <class P>
inline void fill_zero(P* out, int64_t stride, int64_t n) {
  if (n == 1) {  // beside an image: not worth the call of memset that the loop becomes
    *out = P{};
  } else {
    for (int64_t i = 0; i < n; ++i) out[i * stride] = P{};
  }
}

// Copies n >= kStep contiguous elements, kStep at a time; the last step goes over some that are
// there already.
template <int64_t kStep, class T, class P>
inline void copy_steps(const T* in, P* out, int64_t n) {
  for (int64_t i = 0; i < n; i += kStep) {
    const int64_t at = least(i, n - kStep);
    if constexpr (sizeof(T) == sizeof(P)) {
      __builtin_memcpy(out + at, in + at, kStep * sizeof(P));
    } else {
      store(out + at, load(in + at));
    }
  }
}

// Copies n elements: by vectors where both sides are contiguous, by 16 bytes in the short rows
// of small images.
template <class T, class P>
inline void copy_run(const T* in, int64_t in_stride, P* out, int64_t out_stride, int64_t n) {
  constexpr int64_t kStep = kVectorBytes / sizeof(P), kShort = 16 / sizeof(P);
  if (in_stride == 1 && out_stride == 1) {
    if (n >= kStep) return copy_steps<kStep>(in, out, n);
    if constexpr (sizeof(T) == sizeof(P)) {
      if (n >= kShort) return copy_steps<kShort>(in, out, n);
    }
  }
  for (int64_t i = 0; i < n; ++i) pack_element(in[i * in_stride], out + i * out_stride);
}
