// out = 1 / (1 + exp(-x)) and its gradient.

// Taylor's series of exp up to x^kDegree / kDegree!, which on |x| <= ln(2) / 2 is exact to the last
// bit.
template <class T>
struct ExpSeries {  // float
  static constexpr int kDegree = 7;
  static constexpr float kLog2E = 1.44269504f;
  static constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;  // High · n is exact
  static constexpr float kRound = 0x1.8p23f;  // adding it rounds to a whole number
  static constexpr float kSmallest = -104.f;  // exp is zero below
  static constexpr int kMantissaBits = 23, kExponentBias = 127;
};
template <>
struct ExpSeries<double> {
  static constexpr int kDegree = 13;
  static constexpr double kLog2E = 1.4426950408889634;
  static constexpr double kLn2High = 0x1.62e42feep-1, kLn2Low = 0x1.a39ef35793c76p-33;
  static constexpr double kRound = 0x1.8p52;
  static constexpr double kSmallest = -746.;
  static constexpr int kMantissaBits = 52, kExponentBias = 1023;
};

template <class T>
constexpr T one_over_factorial(int k) {
  T factorial = 1;
  for (int i = 2; i <= k; ++i) factorial *= i;
  return 1 / factorial;
}

// exp(x) for x <= 0, gradually down to the last subnormal; NaN stays NaN.
template <class T>
inline Vec<T> exp_of_nonpositive(Vec<T> x) {
  using S = ExpSeries<T>;
  const Vec<T> smallest = broadcast<T>(S::kSmallest);
  x = x < smallest ? smallest : x;
  const Vec<T> n = (x * S::kLog2E + S::kRound) - S::kRound;
  const Vec<T> r = (x - n * S::kLn2High) - n * S::kLn2Low;

  Vec<T> sum = broadcast(one_over_factorial<T>(S::kDegree));
#pragma GCC unroll 16
  for (int k = S::kDegree - 1; k >= 2; --k) sum = sum * r + one_over_factorial<T>(k);
  sum = T(1) + (r + r * r * sum);  // the largest term last, so that only its rounding counts

  // 2^n in two factors, since 2^n itself may be too small for a normal number.
  const Vec<Bits<T>> whole = __builtin_convertvector(n, Vec<Bits<T>>);
  const Vec<Bits<T>> half = whole >> 1;
  const Vec<T> first = (Vec<T>)((half + S::kExponentBias) << S::kMantissaBits);
  const Vec<T> second = (Vec<T>)((whole - half + S::kExponentBias) << S::kMantissaBits);
  return sum * first * second;
}

// With z = exp(-|x|) nothing overflows: 1 / (1 + z) for x >= 0, z / (1 + z) below. What 1 + z loses
// in rounding is put back to first order, with 1 / (1 + z) read off the quotient.
template <class T>
inline Vec<T> sigmoid_of(Vec<T> x) {
  const Vec<T> z = exp_of_nonpositive<T>(x < 0 ? x : -x);
  const Vec<T> one = broadcast<T>(1);
  const Vec<T> denominator = one + z;
  const Vec<T> lost = z - (denominator - one);
  const Vec<T> quotient = (x < 0 ? z : one) / denominator;
  const Vec<T> inverse = x < 0 ? one - quotient : quotient;
  return quotient - quotient * (lost * inverse);
}

template <class T>
void sigmoid(const T* x, T* out, int64_t n) {
  constexpr int64_t kStep = kLanes<Accumulator<T>>;
  int64_t i = 0;
  for (; i + kStep <= n; i += kStep) store(out + i, sigmoid_of<Accumulator<T>>(load(x + i)));
  if (i < n) store_first(out + i, sigmoid_of<Accumulator<T>>(load_first(x + i, n - i)), n - i);
}

// grad_x = grad_out · out · (1 - out)
template <class T>
inline Vec<T> sigmoid_gradient(Vec<T> grad_out, Vec<T> out) {
  return grad_out * (T(1) - out) * out;
}

template <class T>
void sigmoid_backward(const T* grad_out, const T* out, T* grad_x, int64_t n) {
  using Acc = Accumulator<T>;
  constexpr int64_t kStep = kLanes<Acc>;
  int64_t i = 0;
  for (; i + kStep <= n; i += kStep) {
    store(grad_x + i, sigmoid_gradient<Acc>(load(grad_out + i), load(out + i)));
  }
  if (i < n) {
    const int64_t rest = n - i;
    store_first(grad_x + i,
                sigmoid_gradient<Acc>(load_first(grad_out + i, rest), load_first(out + i, rest)),
                rest);
  }
}
