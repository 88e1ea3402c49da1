// The kernels of sigmoid and its gradient.
#include <cmath>

#include "cuda/each_type.h"
#include "cuda/elementwise.cuh"
#include "cuda/sigmoid.h"
#include "exp_terms.h"

namespace torchconv::cuda {
namespace {

/// 1 / x to the last bit or two, of a normal number.
TORCHCONV_ANYWHERE inline float rough_reciprocal(float x) {
#ifdef __CUDA_ARCH__
  float result;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
#else
  return 1 / x;
#endif
}
TORCHCONV_ANYWHERE inline double rough_reciprocal(double x) { return 1 / x; }

/// 2^x to the last two bits, gradually down to the last subnormal.
TORCHCONV_ANYWHERE inline float rough_exp2(float x) {
#ifdef __CUDA_ARCH__
  float result;
  asm("ex2.approx.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
#else
  return exp2f(x);
#endif
}

/// x · 2^n, in two factors, since 2^n itself may be too small for a normal number.
template <class T>
TORCHCONV_ANYWHERE inline T times_power_of_2(T x, T n) {
  using Bits = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;
  using S = Exp<T>;
  const Bits whole = Bits(n), half = whole >> 1;
  const T first = as_bits<T>(Bits((half + S::kExponentBias) << S::kMantissaBits));
  const T second = as_bits<T>(Bits((whole - half + S::kExponentBias) << S::kMantissaBits));
  return x * first * second;
}

/// c[k] + c[k + 1] r + …
template <class T, int k = 0>
TORCHCONV_ANYWHERE inline T exp_polynomial(T r) {
  constexpr T term = Exp<T>::kCoefficients[k];
  if constexpr (k + 1 == Exp<T>::kTerms) {
    return term;
  } else {
    return exp_polynomial<T, k + 1>(r) * r + term;
  }
}

/// exp(x) for x <= 0, gradually down to the last subnormal; NaN stays NaN.
template <class T>
TORCHCONV_ANYWHERE inline T exp_of_nonpositive(T x) {
  using S = Exp<T>;
  x = x < S::kSmallest ? S::kSmallest : x;
  const T n = (x * S::kLog2E + S::kRound) - S::kRound;
  const T r = (x - n * S::kLn2High) - n * S::kLn2Low;
  // The largest term last, so that only its rounding counts.
  return times_power_of_2(T(1) + (r + r * r * exp_polynomial(r)), n);
}

/// The same for results that are going to be rounded to 16 bits. What x · log2(e) loses by being
/// rounded is a part of the exponent: up to 100 units in the last place, but for `lost`.
TORCHCONV_ANYWHERE inline float rough_exp_of_nonpositive(float x) {
  using S = Exp<float>;
  constexpr float kLn2 = S::kLn2High + S::kLn2Low, kLog2ELow = 1.92596299e-8f;
  x = x < S::kSmallest ? S::kSmallest : x;
  const float exponent = x * S::kLog2E;
  const float lost = fmaf(x, S::kLog2E, -exponent) + x * kLog2ELow;
  const float z = rough_exp2(exponent);
  return z + z * (lost * kLn2);
}

/// With z = exp(-|x|) nothing overflows: 1 / (1 + z) for x >= 0, z / (1 + z) below. A step of
/// Newton's method makes a rough reciprocal of 1 + z an exact one: 1 - rough has no rounding error,
/// so that what 1 + z lost in its own does not count.
struct Sigmoid {
  template <class Acc, class T>
  TORCHCONV_ANYWHERE static Acc of(const Acc (&in)[1], T) {
    const Acc x = in[0], negative = x > 0 ? -x : x;
    if constexpr (sizeof(T) == 2) {
      const Acc z = rough_exp_of_nonpositive(negative), inverse = rough_reciprocal(Acc(1) + z);
      return x < 0 ? z * inverse : inverse;
    } else {
      const Acc z = exp_of_nonpositive(negative), rough = rough_reciprocal(Acc(1) + z);
      const Acc inverse = rough + rough * ((Acc(1) - rough) - z * rough);
      return x < 0 ? z * inverse : inverse;
    }
  }
};

/// grad_x = grad_out · out · (1 - out)
struct SigmoidBackward {
  template <class Acc, class T>
  TORCHCONV_ANYWHERE static Acc of(const Acc (&in)[2], T) {
    return in[0] * (Acc(1) - in[1]) * in[1];
  }
};

}  // namespace

template <class T>
void launch_sigmoid(const at::Tensor& on, const T* x, T* out, int64_t elements) {
  launch_elementwise<Sigmoid, T, 1>(on, {x}, out, elements);
}

template <class T>
void launch_sigmoid_backward(const at::Tensor& on, const T* grad_out, const T* out, T* grad_x,
                             int64_t elements) {
  launch_elementwise<SigmoidBackward, T, 2>(on, {grad_out, out}, grad_x, elements);
}

#define TORCHCONV_SIGMOID(T)                                              \
  template void launch_sigmoid(const at::Tensor&, const T*, T*, int64_t); \
  template void launch_sigmoid_backward(const at::Tensor&, const T*, const T*, T*, int64_t);

TORCHCONV_EACH_FLOAT(TORCHCONV_SIGMOID)

}  // namespace torchconv::cuda
