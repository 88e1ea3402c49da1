// 32-byte vectors: AVX2 with FMA and F16C.
// See simd/vec.h for how these headers are included.

constexpr int kVectorBytes = 32;
constexpr int kGemmRows = 6;  // 6 x 2 accumulators, 2 columns and 1 broadcast fit 16 registers

inline float f16_to_float(uint16_t half) { return _cvtsh_ss(half); }
inline uint16_t float_to_f16(float value) { return _cvtss_sh(value, _MM_FROUND_TO_NEAREST_INT); }

template <class V>
inline void load_f16(const f16* p, V* out) {
  *out = (V)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
template <class V>
inline void store_f16(f16* p, const V* v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p),
                   _mm256_cvtps_ph((__m256)*v, _MM_FROUND_TO_NEAREST_INT));
}

#define TORCHCONV_MASKED_MEMORY
inline __m256i lanes_before(const float*, int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(int(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline __m256i lanes_before(const double*, int64_t n) {
  return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
}
inline __m256 load_masked(const float* p, int64_t n) {
  return _mm256_maskload_ps(p, lanes_before(p, n));
}
inline __m256d load_masked(const double* p, int64_t n) {
  return _mm256_maskload_pd(p, lanes_before(p, n));
}
template <class V>
inline void store_masked(float* p, const V* v, int64_t n) {
  _mm256_maskstore_ps(p, lanes_before(p, n), (__m256)*v);
}
template <class V>
inline void store_masked(double* p, const V* v, int64_t n) {
  _mm256_maskstore_pd(p, lanes_before(p, n), (__m256d)*v);
}
