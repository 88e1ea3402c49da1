// Numbers for exp, which sigmoid is made of on every device.
#pragma once

namespace torchconv {

/// exp(r) = 1 + r + r² · (c[0] + c[1] r + c[2] r² + …) for |r| <= ln(2) / 2: the polynomials whose
/// largest relative error is least (by Remez' algorithm), below an eighth of a unit in the last
/// place.
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

}  // namespace torchconv
