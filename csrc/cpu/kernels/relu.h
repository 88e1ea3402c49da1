// out = max(x, 0) and its gradient. NaN stays NaN, and passes its gradient on.

template <class Put, class T>
void relu_by(const T* x, T* out, int64_t n) {
  using Acc = Accumulator<T>;
  constexpr int64_t kStep = kLanes<Acc>;
  const Vec<Acc> zero = {};
  int64_t i = 0;
  for (; i + kStep <= n; i += kStep) {
    const Vec<Acc> v = load(x + i);
    Put::put(out + i, v < zero ? zero : v);
  }
  if (i < n) {
    const Vec<Acc> v = load_first(x + i, n - i);
    store_first(out + i, v < zero ? zero : v, n - i);
  }
}
template <class T>
void relu(const T* x, T* out, int64_t n, bool past_caches) {
  if (!streams(out, past_caches)) return relu_by<Store>(x, out, n);
  relu_by<Stream>(x, out, n);
  finish_streams();
}

template <class T>
void relu_integer(const T* x, T* out, int64_t n, bool) {
  for (int64_t i = 0; i < n; ++i)
    out[i] = x[i] > T(0) ? x[i] : T(0);  // the compiler vectorises this
}

// Bits of 64 elements: those of vector number i, of kLanes bits each.
template <class Acc>
inline uint64_t bits_of(Vec<Bits<Acc>> lanes, int64_t i) {
  return uint64_t(lane_bits(&lanes, Acc())) << i * kLanes<Acc>;
}
template <class Acc>
inline Vec<Bits<Acc>> lanes_of(uint64_t bits, int64_t i) {
  Vec<Bits<Acc>> lane;
  for (int j = 0; j < kLanes<Acc>; ++j) lane[j] = Bits<Acc>(1) << j;
  return (broadcast(Bits<Acc>(bits >> i * kLanes<Acc>)) & lane) != 0;
}

inline void store_bits(uint64_t bits, uint8_t* mask, int64_t n) {
  if (n >= 64) {
    __builtin_memcpy(mask, &bits, 8);
    return;
  }
  for (int64_t i = 0; i < n; i += 8) mask[i / 8] = uint8_t(bits >> i);
}
inline uint64_t load_bits(const uint8_t* mask, int64_t n) {
  uint64_t bits = 0;
  if (n >= 64) {
    __builtin_memcpy(&bits, mask, 8);
    return bits;
  }
  for (int64_t i = 0; i < n; i += 8) bits |= uint64_t(mask[i / 8]) << i;
  return bits;
}

// Also the mask, which is 0 where x <= 0.
template <class Put, class T>
void relu_with_mask_by(const T* x, T* out, uint8_t* mask, int64_t n) {
  using Acc = Accumulator<T>;
  constexpr int64_t kStep = kLanes<Acc>;
  const Vec<Acc> zero = {};
  for (; n > 0; n -= 64, x += 64, out += 64, mask += 8) {
    uint64_t bits = 0;
    if (n >= 64) {
#pragma GCC unroll 4
      for (int64_t i = 0; i < 64 / kStep; ++i) {
        const Vec<Acc> v = load(x + i * kStep);
        Put::put(out + i * kStep, v < zero ? zero : v);
        bits |= bits_of<Acc>(~(v <= zero), i);
      }
    } else {
      for (int64_t i = 0; i * kStep < n; ++i) {
        const Vec<Acc> v = load_lanes(x + i * kStep, n - i * kStep);
        store_lanes(out + i * kStep, v < zero ? zero : v, n - i * kStep);
        bits |= bits_of<Acc>(~(v <= zero), i);
      }
    }
    store_bits(bits, mask, n);
  }
}
template <class T>
void relu_with_mask(const T* x, T* out, uint8_t* mask, int64_t n, bool past_caches) {
  if (!streams(out, past_caches)) return relu_with_mask_by<Store>(x, out, mask, n);
  relu_with_mask_by<Stream>(x, out, mask, n);
  finish_streams();
}
template <class T>
void relu_integer_with_mask(const T* x, T* out, uint8_t* mask, int64_t n, bool past_caches) {
  relu_integer(x, out, n, past_caches);
  for (int64_t i = 0; i < n; i += 8) {
    mask[i / 8] = 0;
    for (int64_t j = i; j < least(i + 8, n); ++j) mask[i / 8] |= uint8_t(x[j] > T(0)) << (j - i);
  }
}

// grad_x = grad_out where the mask is 1, else 0
template <class Put, class T>
void relu_backward_by(const T* grad_out, const uint8_t* mask, T* grad_x, int64_t n) {
  using Acc = Accumulator<T>;
  using Raw = Vec<Bits<Acc>>;
  constexpr int64_t kStep = kLanes<Acc>;
  for (; n > 0; n -= 64, grad_out += 64, mask += 8, grad_x += 64) {
    const uint64_t bits = load_bits(mask, n);
    if (n >= 64) {
#pragma GCC unroll 4
      for (int64_t i = 0; i < 64 / kStep; ++i) {
        const Raw g = (Raw)load(grad_out + i * kStep);
        Put::put(grad_x + i * kStep, (Vec<Acc>)(g & lanes_of<Acc>(bits, i)));
      }
    } else {
      for (int64_t i = 0; i * kStep < n; ++i) {
        const Raw g = (Raw)load_lanes(grad_out + i * kStep, n - i * kStep);
        store_lanes(grad_x + i * kStep, (Vec<Acc>)(g & lanes_of<Acc>(bits, i)), n - i * kStep);
      }
    }
  }
}
template <class T>
void relu_backward(const T* grad_out, const uint8_t* mask, T* grad_x, int64_t n, bool past_caches) {
  if (!streams(grad_x, past_caches)) return relu_backward_by<Store>(grad_out, mask, grad_x, n);
  relu_backward_by<Stream>(grad_out, mask, grad_x, n);
  finish_streams();
}
