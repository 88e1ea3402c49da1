// 16-byte vectors that every x86-64 (SSE2) and every AArch64 (NEON) CPU has.
// See simd/vec.h for how these headers are included.

constexpr int kVectorBytes = 16;
constexpr int kGemmRows = 6;  // 6 x 2 accumulators, 2 columns and 1 broadcast fit 16 registers

// f16 bit by bit, as IEEE 754 lays the formats out: not every such CPU has an instruction for it.
inline float f16_to_float(uint16_t half) {
  const uint32_t sign = uint32_t(half & 0x8000) << 16;
  const uint32_t magnitude = half & 0x7fff;
  union {
    uint32_t bits;
    float value;
  } result;
  if (magnitude >= 0x7c00) {  // infinity, NaN
    result.bits = sign | 0x7f800000 | (magnitude & 0x3ff) << 13;
  } else if (magnitude >= 0x400) {  // normal: move the exponent's bias from 15 to 127
    result.bits = sign | ((magnitude << 13) + (uint32_t(127 - 15) << 23));
  } else {  // subnormal: a whole number of 2^-24
    result.value = float(magnitude) * 0x1p-24f;
    result.bits |= sign;
  }
  return result.value;
}

inline uint16_t float_to_f16(float value) {
  union {
    float value;
    uint32_t bits;
  } in = {value};
  const uint16_t sign = (in.bits >> 16) & 0x8000;
  const uint32_t magnitude = in.bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;   // NaN
  if (magnitude >= 0x477ff000) return sign | 0x7c00;  // 65520 and more round to infinity
  if (magnitude < 0x38800000) {                       // below 2^-14: subnormal
    // The sum with 0.5 leaves, in its last 10 bits, the magnitude rounded to a multiple of 2^-24.
    in.bits = magnitude;
    in.value += 0.5f;
    return sign | uint16_t(in.bits - 0x3f000000);
  }
  const uint32_t rebiased = magnitude - (uint32_t(127 - 15) << 23);
  return sign | uint16_t((rebiased + 0xfff + ((rebiased >> 13) & 1)) >> 13);
}

template <class V>
inline void load_f16(const f16* p, V* out) {
  for (int i = 0; i < 4; ++i) (*out)[i] = f16_to_float(p[i].bits);
}
template <class V>
inline void store_f16(f16* p, const V* v) {
  for (int i = 0; i < 4; ++i) p[i].bits = float_to_f16((*v)[i]);
}

// Of the lanes [from, to): loaded, others are zero; and stored, others stay as they are.
template <class T, class V>
inline void load_masked(const T* p, int64_t from, int64_t to, V* out) {
  *out = V{};
  for (int64_t i = from; i < to; ++i) (*out)[i] = p[i];
}
template <class T, class V>
inline void store_masked(T* p, int64_t from, int64_t to, const V* v) {
  for (int64_t i = from; i < to; ++i) p[i] = (*v)[i];
}

// Past the caches, if there were an instruction for it.
template <class T, class V>
inline void store_streaming(T* p, const V* v) {
  for (int i = 0; i < int(sizeof(V) / sizeof(T)); ++i) p[i] = (*v)[i];
}
inline void finish_streams() {}
