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

template <class V>
inline void load_bytes(const uint8_t* p, V* out) {
  if constexpr (sizeof((*out)[0]) == 8) {
    *out = (V)_mm512_cvtepu8_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  } else {
    *out = (V)_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
}
template <class V>
inline void load_bytes(const int8_t* p, V* out) {
  *out = (V)_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
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

// Of the lanes [from, to): loaded, others are zero; and stored, others stay as they are.
inline unsigned lanes_between(int64_t from, int64_t to) { return (1u << to) - (1u << from); }
template <class V>
inline void load_masked(const float* p, int64_t from, int64_t to, V* out) {
  *out = (V)_mm512_maskz_loadu_ps(__mmask16(lanes_between(from, to)), p);
}
template <class V>
inline void load_masked(const double* p, int64_t from, int64_t to, V* out) {
  *out = (V)_mm512_maskz_loadu_pd(__mmask8(lanes_between(from, to)), p);
}
template <class V>
inline void store_masked(float* p, int64_t from, int64_t to, const V* v) {
  _mm512_mask_storeu_ps(p, __mmask16(lanes_between(from, to)), (__m512)*v);
}
template <class V>
inline void store_masked(double* p, int64_t from, int64_t to, const V* v) {
  _mm512_mask_storeu_pd(p, __mmask8(lanes_between(from, to)), (__m512d)*v);
}
template <class T>
inline void load_masked_raw(const T* p, int64_t from, int64_t to, T (&buffer)[16]) {
  if constexpr (sizeof(T) == 1) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(buffer),
                     _mm_maskz_loadu_epi8(__mmask16(lanes_between(from, to)), p));
  } else if constexpr (sizeof(T) == 2) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(buffer),
                        _mm256_maskz_loadu_epi16(__mmask16(lanes_between(from, to)), p));
  } else {
    _mm512_storeu_si512(buffer, _mm512_maskz_loadu_epi32(__mmask16(lanes_between(from, to)), p));
  }
}
template <class T>
inline void store_masked_raw(T* p, int64_t from, int64_t to, const T (&buffer)[16]) {
  if constexpr (sizeof(T) == 1) {
    const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(buffer));
    _mm_mask_storeu_epi8(p, __mmask16(lanes_between(from, to)), v);
  } else if constexpr (sizeof(T) == 2) {
    const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(buffer));
    _mm256_mask_storeu_epi16(p, __mmask16(lanes_between(from, to)), v);
  } else {
    _mm512_mask_storeu_epi32(p, __mmask16(lanes_between(from, to)), _mm512_loadu_si512(buffer));
  }
}

template <class V>
inline bool any_nan(const V* v, float) {
  return _mm512_cmp_ps_mask((__m512)*v, (__m512)*v, _CMP_UNORD_Q) != 0;
}
template <class V>
inline bool any_nan(const V* v, double) {
  return _mm512_cmp_pd_mask((__m512d)*v, (__m512d)*v, _CMP_UNORD_Q) != 0;
}

// One bit for each lane of a mask.
template <class V>
inline unsigned lane_bits(const V* mask, float) {
  return _mm512_movepi32_mask((__m512i)*mask);
}
template <class V>
inline unsigned lane_bits(const V* mask, double) {
  return _mm512_movepi64_mask((__m512i)*mask);
}

// x · 2^n for whole n, rounded once, even where that is subnormal.
template <class V>
inline V times_power_of_2(V x, V n, float) {
  return (V)_mm512_scalef_ps((__m512)x, (__m512)n);
}
template <class V>
inline V times_power_of_2(V x, V n, double) {
  return (V)_mm512_scalef_pd((__m512d)x, (__m512d)n);
}
// 1 / x, to about half of the digits.
template <class V>
inline V rough_reciprocal(V x, float) {
  return (V)_mm512_rcp14_ps((__m512)x);
}
template <class V>
inline V rough_reciprocal(V x, double) {
  const V r = (V)_mm512_rcp14_pd((__m512d)x);
  return r + r * (1. - x * r);
}

// To whole vectors, past the caches; then finish_streams, before another thread reads them.
template <class V>
inline void store_streaming(float* p, const V* v) {
  _mm512_stream_ps(p, (__m512)*v);
}
template <class V>
inline void store_streaming(double* p, const V* v) {
  _mm512_stream_pd(p, (__m512d)*v);
}
inline void finish_streams() { _mm_sfence(); }
