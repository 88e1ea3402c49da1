// Copies between tensors and the blocks in scratch that are multiplied. Where elements are read is
// a pointer, or something that is used like one: elements that the reader puts together
// (gemm_bf16.h).

// Copying converts: from a storage type to the type it is computed in, or back.
template <class T>
inline void copy_element(T x, Accumulator<T>* out) {
  *out = widen(x);
}
template <class T>
inline void copy_element(Accumulator<T> x, T* out) {
  narrow(x, out);
}
inline void copy_element(float x, float* out) { *out = x; }
inline void copy_element(double x, double* out) { *out = x; }
inline void copy_element(int32_t x, int32_t* out) { *out = x; }
inline void copy_element(int64_t x, int64_t* out) { *out = x; }

template <class P>
inline void fill_zero(P* out, int64_t stride, int64_t n) {
  if (n == 1) {  // beside an image: not worth the call of memset that the loop becomes
    *out = P{};
  } else {
    for (int64_t i = 0; i < n; ++i) out[i * stride] = P{};
  }
}

// Whether copying from In to P changes no bits.
template <class In, class P>
constexpr bool kSameBits = false;
template <class T, class P>
constexpr bool kSameBits<T*, P> = sizeof(T) == sizeof(P);

template <class T>
inline void fetch(const T* p) {
  __builtin_prefetch(p);
}

// Copies n >= kStep contiguous elements, kStep at a time; the last step goes over some that are
// there already.
template <int64_t kStep, class In, class P>
inline void copy_steps(In in, P* out, int64_t n) {
  for (int64_t i = 0; i < n; i += kStep) {
    const int64_t at = least(i, n - kStep);
    if constexpr (kSameBits<In, P>) {
      __builtin_memcpy(out + at, in + at, kStep * sizeof(P));
    } else {
      store(out + at, load(in + at));
    }
  }
}

// Copies n contiguous elements: by vectors, or by 16 bytes in the short rows of small images.
template <class In, class P>
inline void copy_run(In in, P* out, int64_t n) {
  constexpr int64_t kStep = kLanes<Accumulator<P>>, kShort = 16 / sizeof(P);
  if (n >= kStep) return copy_steps<kStep>(in, out, n);
  if constexpr (kSameBits<In, P>) {
    if (n >= kShort) return copy_steps<kShort>(in, out, n);
  }
  for (int64_t i = 0; i < n; ++i) copy_element(in[i], out + i);
}
template <class In, class P>
inline void copy_run(In in, int64_t in_stride, P* out, int64_t out_stride, int64_t n) {
  if (in_stride == 1 && out_stride == 1) return copy_run(in, out, n);
  using V = Vec<Accumulator<P>>;
  constexpr int64_t kStep = kLanes<Accumulator<P>>;
  // By vectors, all but the last element: what follows it may belong to somebody else. The last
  // step goes over some that are there already.
  const bool pairs_in = in_stride == 2 && out_stride == 1;
  const bool pairs_out = in_stride == 1 && out_stride == 2 && kSameBits<In, P>;
  int64_t done = 0;
  while ((pairs_in || pairs_out) && n > kStep && done < n - 1) {
    done = least(done, n - 1 - kStep);
    if (pairs_in) {
      const In from = in + 2 * done;
      store(out + done, every_second<0, Accumulator<P>>(load(from), load(from + kStep)));
    } else if constexpr (kSameBits<In, P>) {  // elements in between stay as they are
      P* to = out + 2 * done;
      const V between = every_second<1, Accumulator<P>>(load(to), load(to + kStep));
      const V v = load(in + done);
      store(to, in_turn<0, Accumulator<P>>(v, between));
      store(to + kStep, in_turn<1, Accumulator<P>>(v, between));
    }
    done += kStep;
  }
  if (pairs_in && n <= kStep && n >= kStep / 4) {  // a short row
    const int64_t reach = 2 * n - 1;
    const V low = reach < kStep ? load_first(in, reach) : load(in);
    const V high = reach > kStep ? load_first(in + kStep, reach - kStep) : V{};
    return store_first(out, every_second<0, Accumulator<P>>(low, high), n);
  }
  for (int64_t i = done; i < n; ++i) copy_element(in[i * in_stride], out + i * out_stride);
}

// out[k, i] = in[i, k] for one square of lanes, of which `height` i and `width` k exist.
template <bool kWhole, class In, class P>
inline void copy_square(In in, int64_t in_i, int64_t height, int64_t width, P* out, int64_t out_k) {
  using Acc = Accumulator<P>;
  constexpr int kSize = kLanes<Acc>;
  Vec<Acc> rows[kSize];
  int64_t at[kSize];
#pragma GCC unroll 16
  for (int r = 0; r < kSize; ++r) {
    at[r] = (kWhole || r < height ? r : height - 1) * in_i;  // no branch
    fetch(in + (r + height) * in_i);  // the next square's: rows are far apart
  }
  if (!load_columns<kWhole>(in, at, width, rows)) {
#pragma GCC unroll 16
    for (int r = 0; r < kSize; ++r)
      rows[r] = kWhole ? load(in + at[r]) : load_first(in + at[r], width);
    transpose<Acc>(rows);
  }
#pragma GCC unroll 16
  for (int r = 0; r < kSize; ++r) {
    if (kWhole) {
      store(out + r * out_k, rows[r]);
    } else if (r < width) {
      store_first(out + r * out_k, rows[r], height);
    }
  }
}

// The same for contiguous k of `in` and contiguous i of `out`, any number of each.
template <class In, class P>
inline void copy_transposed(In in, int64_t in_i, int64_t ni, int64_t nk, P* out, int64_t out_k) {
  constexpr int64_t kSize = kLanes<Accumulator<P>>;
  for (int64_t i = 0; i < ni; i += kSize) {
    const int64_t height = least(kSize, ni - i);
    for (int64_t k = 0; k < nk; k += kSize) {
      const int64_t width = least(kSize, nk - k);
      const In from = in + i * in_i + k;
      P* to = out + k * out_k + i;
      if (height == kSize && width == kSize) {
        copy_square<true>(from, in_i, height, width, to, out_k);
      } else {
        copy_square<false>(from, in_i, height, width, to, out_k);
      }
    }
  }
}

// Fewer are copied one by one in less time.
constexpr int64_t kFewColumns = kLanes<float> / 4;

// out[k * out_k + i * out_i] = in[i * in_i + k * in_k]
template <class In, class P>
void copy_block(In in, int64_t in_i, int64_t in_k, int64_t ni, int64_t nk, P* out, int64_t out_i,
                int64_t out_k) {
  if (out_i == 1 && in_i != 1 && in_k == 1 && nk >= kFewColumns) {
    return copy_transposed(in, in_i, ni, nk, out, out_k);
  }
  if (out_i != 1 && out_k == 1) {  // contiguous the other way round
    return copy_block(in, in_k, in_i, nk, ni, out, out_k, out_i);
  }
  if (in_i == 1 && out_i == 1 && ni == 2 * kLanes<Accumulator<P>>) {  // a panel of columns
    constexpr int64_t kHalf = kLanes<Accumulator<P>>;
    for (int64_t k = 0; k < nk; ++k) {
      const In from = in + k * in_k;
      P* to = out + k * out_k;
      store(to, load(from));
      store(to + kHalf, load(from + kHalf));
    }
    return;
  }
  for (int64_t k = 0; k < nk; ++k) copy_run(in + k * in_k, in_i, out + k * out_k, out_i, ni);
}

// Elements of the sum that P holds together, where they are read from In.
template <class In, class P>
constexpr int64_t kTermsOf = 1;

// The same where k counts elements of the sum: as P holds them, kTermsOf at a time.
template <class In, class P>
inline void copy_terms(In in, int64_t in_i, int64_t in_k, int64_t ni, int64_t nk, P* out,
                       int64_t out_i, int64_t out_k) {
  copy_block(in, in_i, in_k, ni, nk, out, out_i, out_k);
}

// One of the pieces that hold a term each, `stride` apart: as it is. P may hold it with the next.
template <class P, class T>
inline const T* pieces(const T* first, int64_t /*stride*/, int64_t /*count*/) {
  return first;
}
