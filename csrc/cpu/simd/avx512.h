// 64-byte vectors: AVX-512 F, BW, DQ and VL.
// See simd/vec.h for how these headers are included.

constexpr int kVectorBytes = 64;
constexpr int kGemmRows = 12;  // 12 x 2 accumulators, 2 columns and 1 broadcast fit 32 registers

inline float f16_to_float(uint16_t half) { return _cvtsh_ss(half); }
inline uint16_t float_to_f16(float value) { return _cvtss_sh(value, _MM_FROUND_TO_NEAREST_INT); }

template <class V>
inline void load_f16(const f16* p, V* out) {
  *out = (V)_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
template <class V>
inline void store_f16(f16* p, const V* v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      _mm512_cvtps_ph((__m512)*v, _MM_FROUND_TO_NEAREST_INT));
}

#define TORCHCONV_MASKED_MEMORY
inline __m512 load_masked(const float* p, int64_t n) {
  return _mm512_maskz_loadu_ps(__mmask16((1u << n) - 1), p);
}
inline __m512d load_masked(const double* p, int64_t n) {
  return _mm512_maskz_loadu_pd(__mmask8((1u << n) - 1), p);
}
template <class V>
inline void store_masked(float* p, const V* v, int64_t n) {
  _mm512_mask_storeu_ps(p, __mmask16((1u << n) - 1), (__m512)*v);
}
template <class V>
inline void store_masked(double* p, const V* v, int64_t n) {
  _mm512_mask_storeu_pd(p, __mmask8((1u << n) - 1), (__m512d)*v);
}
