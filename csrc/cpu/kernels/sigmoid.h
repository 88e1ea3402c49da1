// out = 1 / (1 + exp(-x)) and its gradient.

// Where an instruction set has no better way: in two factors, since 2^n itself may be too small for
// a normal number.
template <class V, class T>
inline V times_power_of_2(V x, V n, T) {
  using S = Exp<T>;
  const Vec<Bits<T>> whole = __builtin_convertvector(n, Vec<Bits<T>>);
  const Vec<Bits<T>> half = whole >> 1;
  const V first = (V)((half + S::kExponentBias) << S::kMantissaBits);
  const V second = (V)((whole - half + S::kExponentBias) << S::kMantissaBits);
  return x * first * second;
}
template <class V, class T>
inline V rough_reciprocal(V x, T) {
  return T(1) / x;
}

// exp(x) for x <= 0, gradually down to the last subnormal; NaN stays NaN.
template <class T>
inline Vec<T> exp_of_nonpositive(Vec<T> x) {
  using S = Exp<T>;
  const Vec<T> smallest = broadcast<T>(S::kSmallest);
  x = x < smallest ? smallest : x;
  const Vec<T> n = (x * S::kLog2E + S::kRound) - S::kRound;
  const Vec<T> r = (x - n * S::kLn2High) - n * S::kLn2Low;

  Vec<T> sum = broadcast(S::kCoefficients[S::kTerms - 1]);
#pragma GCC unroll 16
  for (int k = S::kTerms - 2; k >= 0; --k) sum = sum * r + S::kCoefficients[k];
  sum = T(1) + (r + r * r * sum);  // the largest term last, so that only its rounding counts
  return times_power_of_2(sum, n, T());
}

// With z = exp(-|x|) nothing overflows: 1 / (1 + z) for x >= 0, z / (1 + z) below. A step of
// Newton's method makes a rough reciprocal of 1 + z an exact one: 1 - rough has no rounding error,
// so that what 1 + z lost in its own does not count.
template <class T>
inline Vec<T> sigmoid_of(Vec<T> x) {
  const Vec<Bits<T>> sign = broadcast(Bits<T>(Bits<T>(1) << (8 * sizeof(T) - 1)));
  const Vec<T> z = exp_of_nonpositive<T>((Vec<T>)((Vec<Bits<T>>)x | sign));
  const Vec<T> rough = rough_reciprocal(T(1) + z, T());
  const Vec<T> inverse = rough + rough * ((T(1) - rough) - z * rough);
  return x < 0 ? z * inverse : inverse;
}

template <class Put, class T>
void sigmoid_by(const T* x, T* out, int64_t n) {
  constexpr int64_t kStep = kLanes<Accumulator<T>>;
  int64_t i = 0;
  for (; i + kStep <= n; i += kStep) Put::put(out + i, sigmoid_of<Accumulator<T>>(load(x + i)));
  if (i < n) store_first(out + i, sigmoid_of<Accumulator<T>>(load_first(x + i, n - i)), n - i);
}

template <class T>
void sigmoid(const T* x, T* out, int64_t n, bool past_caches) {
  if (!streams(out, past_caches)) return sigmoid_by<Store>(x, out, n);
  sigmoid_by<Stream>(x, out, n);
  finish_streams();
}

// grad_x = grad_out · out · (1 - out)
template <class T>
inline Vec<T> sigmoid_gradient(Vec<T> grad_out, Vec<T> out) {
  return grad_out * (T(1) - out) * out;
}

template <class Put, class T>
void sigmoid_backward_by(const T* grad_out, const T* out, T* grad_x, int64_t n) {
  using Acc = Accumulator<T>;
  constexpr int64_t kStep = kLanes<Acc>;
  int64_t i = 0;
  for (; i + kStep <= n; i += kStep) {
    Put::put(grad_x + i, sigmoid_gradient<Acc>(load(grad_out + i), load(out + i)));
  }
  if (i < n) {
    const int64_t rest = n - i;
    store_first(grad_x + i,
                sigmoid_gradient<Acc>(load_first(grad_out + i, rest), load_first(out + i, rest)),
                rest);
  }
}
template <class T>
void sigmoid_backward(const T* grad_out, const T* out, T* grad_x, int64_t n, bool past_caches) {
  if (!streams(grad_x, past_caches)) return sigmoid_backward_by<Store>(grad_out, out, grad_x, n);
  sigmoid_backward_by<Stream>(grad_out, out, grad_x, n);
  finish_streams();
}
