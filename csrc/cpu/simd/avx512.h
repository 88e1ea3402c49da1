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

// columns[k][r] = in[at[r] + k] for k < width, if width is a multiple of 4: a square of lanes,
// transposed in less than half the instructions that it takes from row to row, because quads of
// elements are loaded to where they belong.
template <bool kWhole, class V>
inline bool load_columns(const float* in, const int64_t (&at)[16], int64_t width,
                         V (&columns)[16]) {
  if (!kWhole && width % 4 != 0) return false;
#pragma GCC unroll 4
  for (int k = 0; k < 16; k += 4) {
    if (!kWhole && k >= width) break;
    __m512 quads[4];  // [r % 4][r / 4][k]
#pragma GCC unroll 4
    for (int r = 0; r < 4; ++r) {
      __m512 v = _mm512_castps128_ps512(_mm_loadu_ps(in + at[r] + k));
      v = _mm512_insertf32x4(v, _mm_loadu_ps(in + at[r + 4] + k), 1);
      v = _mm512_insertf32x4(v, _mm_loadu_ps(in + at[r + 8] + k), 2);
      quads[r] = _mm512_insertf32x4(v, _mm_loadu_ps(in + at[r + 12] + k), 3);
    }
    const __m512d a = _mm512_castps_pd(_mm512_unpacklo_ps(quads[0], quads[1]));
    const __m512d b = _mm512_castps_pd(_mm512_unpackhi_ps(quads[0], quads[1]));
    const __m512d c = _mm512_castps_pd(_mm512_unpacklo_ps(quads[2], quads[3]));
    const __m512d d = _mm512_castps_pd(_mm512_unpackhi_ps(quads[2], quads[3]));
    columns[k] = (V)_mm512_unpacklo_pd(a, c);
    columns[k + 1] = (V)_mm512_unpackhi_pd(a, c);
    columns[k + 2] = (V)_mm512_unpacklo_pd(b, d);
    columns[k + 3] = (V)_mm512_unpackhi_pd(b, d);
  }
  return true;
}

inline unsigned first_lanes(int64_t n) { return (1u << n) - 1; }
template <class V>
inline void load_masked(const float* p, int64_t n, V* out) {
  *out = (V)_mm512_maskz_loadu_ps(__mmask16(first_lanes(n)), p);
}
template <class V>
inline void load_masked(const double* p, int64_t n, V* out) {
  *out = (V)_mm512_maskz_loadu_pd(__mmask8(first_lanes(n)), p);
}
template <class V>
inline void store_masked(float* p, int64_t n, const V* v) {
  _mm512_mask_storeu_ps(p, __mmask16(first_lanes(n)), (__m512)*v);
}
template <class V>
inline void store_masked(double* p, int64_t n, const V* v) {
  _mm512_mask_storeu_pd(p, __mmask8(first_lanes(n)), (__m512d)*v);
}
