// out = 1 / (1 + exp(-x)) and its gradient.

// exp(r) = 1 + r + r² · (c[0] + c[1] r + c[2] r² + …) for |r| <= ln(2) / 2: the polynomials whose
// largest relative error is least (by Remez' algorithm), below an eighth of a unit in the last
// place.
template <class T>
struct Exp {  // float
  static constexpr int kTerms = 5;
  static constexpr float kCoefficients[] = {0x1.fffffcp-2f, 0x1.555492p-3f, 0x1.5558f2p-5f,
                                            0x1.123a2p-7f, 0x1.6a23dp-10f};
  static constexpr float kLog2E = 1.44269504f;
  static constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;  // High · n is exact
  static constexpr float kRound = 0x1.8p23f;  // adding it rounds to a whole number
  static constexpr float kSmallest = -104.f;  // exp is zero below
  static constexpr int kMantissaBits = 23, kExponentBias = 127;
};
template <>
struct Exp<double> {
  static constexpr int kTerms = 10;
  static constexpr double kCoefficients[] = {
      0x1.000000000000ap-1,  0x1.55555555554f9p-3,  0x1.555555555083ep-5,  0x1.1111111127d0ep-7,
      0x1.6c16c18438b11p-10, 0x1.a01a012a0f35cp-13, 0x1.a01999e26209fp-16, 0x1.71df25b30d42p-19,
      0x1.28ad9b8648615p-22, 0x1.ad7f3ee5d2f8p-26};
  static constexpr double kLog2E = 1.4426950408889634;
  static constexpr double kLn2High = 0x1.62e42feep-1, kLn2Low = 0x1.a39ef35793c76p-33;
  static constexpr double kRound = 0x1.8p52;
  static constexpr double kSmallest = -746.;
  static constexpr int kMantissaBits = 52, kExponentBias = 1023;
};

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
