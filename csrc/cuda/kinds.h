// The kinds of arithmetic that multiply on a GPU. No torch and no CUDA headers.
#pragma once

#include <type_traits>

#include "cuda/plans/product_plan.h"
#include "views.h"

namespace torchconv::cuda {

/// Kinds of arithmetic: what is multiplied, what is summed, and in how many terms at most, so that
/// errors of rounding stay below those of the factors; whether large tiles leave registers enough.
template <class Element_, class Sum_, int most_terms, bool large>
struct Arithmetic {
  using Element = Element_;
  using Sum = Sum_;
  static constexpr int kMostTerms = most_terms;
  static constexpr bool kLarge = large;  // of 128 x 128
};

/// bf16 or f16 on tensor cores, summed in float32.
template <class T>
struct Half : Arithmetic<T, float, 16384, true> {
  static constexpr const char* kName = std::is_same_v<T, bf16> ? "bf16" : "f16";
};
/// float32, rounded to TF32, on tensor cores.
struct Tf32 : Arithmetic<float, float, 16384, true> {
  static constexpr const char* kName = "tf32";
};
/// float32 as a sum of two TF32 on tensor cores: as accurate as float32, if factors are larger than
/// 2^-113, since the rests of smaller ones are too small to be numbers, and below 2^127.
struct Tf32x3 : Arithmetic<float, float, 4096, false> {
  static constexpr const char* kName = "tf32x3";
};
/// float32, without tensor cores.
struct Fma : Arithmetic<float, float, 2048, false> {
  static constexpr const char* kName = "fma";
};
/// float64 on tensor cores.
struct Float64 : Arithmetic<double, double, 16384, false> {
  static constexpr const char* kName = "f64";
};

/// Calls fn with the kind that multiplies T.
template <class T, class Fn>
auto with_kind(Float32Math float32, const Fn& fn) {
  if constexpr (std::is_same_v<T, double>) {
    return fn(Float64());
  } else if constexpr (sizeof(T) == 2) {
    return fn(Half<T>());
  } else if (float32 == Float32Math::kTf32) {
    return fn(Tf32());
  } else if (float32 == Float32Math::kTf32x3) {
    return fn(Tf32x3());
  } else {
    return fn(Fma());
  }
}

}  // namespace torchconv::cuda
