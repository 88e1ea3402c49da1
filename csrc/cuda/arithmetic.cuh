// Numbers in a thread: conversions, and division by what is known before the launch.
#pragma once

#include <type_traits>

#include "views.h"

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#else
#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>
#endif

namespace torchconv::cuda {

/// The same bits as another type.
template <class To, class From>
TORCHCONV_ANYWHERE inline To as_bits(From from) {
  static_assert(sizeof(To) == sizeof(From));
  union {
    From from;
    To to;
  } both = {from};
  return both.to;
}

template <class T>
TORCHCONV_ANYWHERE inline Accumulator<T> widen(T x) {
  return x;
}
TORCHCONV_ANYWHERE inline float widen(bf16 x) { return as_bits<float>(uint32_t(x.bits) << 16); }
TORCHCONV_ANYWHERE inline float widen(f16 x) {
#ifdef __CUDACC__
  return __half2float(as_bits<__half_raw>(x.bits));
#else
  return c10::detail::fp16_ieee_to_fp32_value(x.bits);
#endif
}

template <class T>
TORCHCONV_ANYWHERE inline void narrow(Accumulator<T> x, T* out) {
  *out = T(x);
}
TORCHCONV_ANYWHERE inline void narrow(float x, bf16* out) {
#ifdef __CUDACC__
  out->bits = as_bits<uint16_t>(__nv_bfloat16_raw(__float2bfloat16_rn(x)));
#else
  out->bits = c10::BFloat16(x).x;
#endif
}
TORCHCONV_ANYWHERE inline void narrow(float x, f16* out) {
#ifdef __CUDACC__
  out->bits = as_bits<uint16_t>(__half_raw(__float2half_rn(x)));
#else
  out->bits = c10::Half(x).x;
#endif
}

/// n, or `most` where n is more.
template <class Index>
TORCHCONV_ANYWHERE inline int at_most(Index n, int most) {
  return n < most ? int(n) : most;
}

/// The upper half of the product of two numbers.
TORCHCONV_ANYWHERE inline uint32_t upper_product(uint32_t a, uint32_t b) {
  return uint32_t(uint64_t(a) * b >> 32);
}
TORCHCONV_ANYWHERE inline uint64_t upper_product(uint64_t a, uint64_t b) {
#ifdef __CUDA_ARCH__
  return __umul64hi(a, b);
#else
  return uint64_t((unsigned __int128)a * b >> 64);
#endif
}

/// n / divisor and n % divisor for n >= 0, by a multiplication, which a GPU does some ten times
/// quicker than a division. Where n has w bits and 2^(bits - 1) < divisor <= 2^bits,
/// n / divisor = n · ceil(2^(w + bits) / divisor) / 2^(w + bits), rounded down
/// (Granlund and Montgomery, Division by Invariant Integers using Multiplication, 1994).
template <class Index>
class Divider {
 public:
  explicit Divider(Index divisor) : divisor_(divisor) {
    while ((Unsigned(1) << bits_) < Unsigned(divisor)) ++bits_;
    const auto power = (unsigned __int128)1 << (8 * sizeof(Index) - 1 + bits_);
    if (divisor > 1) factor_ = Unsigned((power + divisor - 1) / divisor);
  }

  TORCHCONV_ANYWHERE Index divisor() const { return divisor_; }

  TORCHCONV_ANYWHERE Index quotient(Index n) const {
    if (divisor_ == 1) return n;
    return Index(upper_product(Unsigned(n), factor_) >> (bits_ - 1));
  }

  /// Divides n and returns the remainder.
  TORCHCONV_ANYWHERE Index divide(Index* n) const {
    const Index whole = quotient(*n);
    const Index rest = *n - whole * divisor_;
    *n = whole;
    return rest;
  }

 private:
  using Unsigned = std::make_unsigned_t<Index>;

  Index divisor_;
  Unsigned factor_ = 0;
  int bits_ = 0;
};

/// An item's place in work of four dimensions, the last of which runs fastest.
template <class Index>
struct Place4 {
  Index first, second, third, last;
};
template <class Index>
struct Split4 {
  Divider<Index> second, third, last;

  Split4(int64_t second, int64_t third, int64_t last)
      : second(Index(second)), third(Index(third)), last(Index(last)) {}

  TORCHCONV_ANYWHERE Place4<Index> operator()(int64_t item) const {
    Index number = Index(item);
    Place4<Index> place;
    place.last = last.divide(&number);
    place.third = third.divide(&number);
    place.second = second.divide(&number);
    place.first = number;
    return place;
  }

  /// How many items there are.
  int64_t items(int64_t first) const {
    return first * second.divisor() * third.divisor() * last.divisor();
  }
};

}  // namespace torchconv::cuda
