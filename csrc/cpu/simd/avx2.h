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

template <class V>
inline void load_bytes(const uint8_t* p, V* out) {
  if constexpr (sizeof((*out)[0]) == 8) {
    *out = (V)_mm256_cvtepu8_epi64(_mm_loadu_si32(p));
  } else {
    *out = (V)_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  }
}
template <class V>
inline void load_bytes(const int8_t* p, V* out) {
  *out = (V)_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
}
// The lowest byte of each lane goes to the front of its half, and the halves beside each other.
template <class V>
inline void store_low_bytes(void* p, const V* v) {
  if constexpr (sizeof((*v)[0]) == 8) {
    const __m256i fronts = _mm256_shuffle_epi8(
        (__m256i)*v, _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 8, -1, -1, -1, -1, -1, -1, -1, -1,
                                                               -1, -1, -1, -1, -1, -1)));
    _mm_storeu_si32(
        p, _mm_unpacklo_epi16(_mm256_castsi256_si128(fronts), _mm256_extracti128_si256(fronts, 1)));
  } else {
    const __m256i fronts = _mm256_shuffle_epi8(
        (__m256i)*v, _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1,
                                                               -1, -1, -1, -1, -1, -1)));
    _mm_storel_epi64(
        static_cast<__m128i*>(p),
        _mm_unpacklo_epi32(_mm256_castsi256_si128(fronts), _mm256_extracti128_si256(fronts, 1)));
  }
}

template <class V>
inline void store_bytes(uint8_t* p, const V* v) {
  store_low_bytes(p, v);
}
template <class V>
inline void store_bytes(int8_t* p, const V* v) {
  store_low_bytes(p, v);
}

// Of the lanes [from, to): loaded, others are zero; and stored, others stay as they are.
inline __m256i lanes_between_32(int64_t from, int64_t to) {
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_andnot_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32(int(from)), lanes),
                             _mm256_cmpgt_epi32(_mm256_set1_epi32(int(to)), lanes));
}
inline __m256i lanes_between_64(int64_t from, int64_t to) {
  const __m256i lanes = _mm256_setr_epi64x(0, 1, 2, 3);
  return _mm256_andnot_si256(_mm256_cmpgt_epi64(_mm256_set1_epi64x(from), lanes),
                             _mm256_cmpgt_epi64(_mm256_set1_epi64x(to), lanes));
}
template <class V>
inline void load_masked(const float* p, int64_t from, int64_t to, V* out) {
  *out = (V)_mm256_maskload_ps(p, lanes_between_32(from, to));
}
template <class V>
inline void load_masked(const double* p, int64_t from, int64_t to, V* out) {
  *out = (V)_mm256_maskload_pd(p, lanes_between_64(from, to));
}
template <class V>
inline void store_masked(float* p, int64_t from, int64_t to, const V* v) {
  _mm256_maskstore_ps(p, lanes_between_32(from, to), (__m256)*v);
}
template <class V>
inline void store_masked(double* p, int64_t from, int64_t to, const V* v) {
  _mm256_maskstore_pd(p, lanes_between_64(from, to), (__m256d)*v);
}

template <class V>
inline bool any_nan(const V* v, float) {
  return _mm256_movemask_ps(_mm256_cmp_ps((__m256)*v, (__m256)*v, _CMP_UNORD_Q)) != 0;
}
template <class V>
inline bool any_nan(const V* v, double) {
  return _mm256_movemask_pd(_mm256_cmp_pd((__m256d)*v, (__m256d)*v, _CMP_UNORD_Q)) != 0;
}

// One bit for each lane of a mask.
template <class V>
inline unsigned lane_bits(const V* mask, float) {
  return _mm256_movemask_ps((__m256)*mask);
}
template <class V>
inline unsigned lane_bits(const V* mask, double) {
  return _mm256_movemask_pd((__m256d)*mask);
}

// To whole vectors, past the caches; then finish_streams, before another thread reads them.
template <class V>
inline void store_streaming(float* p, const V* v) {
  _mm256_stream_ps(p, (__m256)*v);
}
template <class V>
inline void store_streaming(double* p, const V* v) {
  _mm256_stream_pd(p, (__m256d)*v);
}
inline void finish_streams() { _mm_sfence(); }
