// bf16 products two at a time: vdpbf16ps multiplies pairs of bf16 and adds both products to a
// float. Panels of a matrix product hold pairs, the elements of k and k + 1. (The instruction takes
// subnormal inputs and sums for zero.)

struct bf16_pair {
  uint32_t bits;
};
typedef uint32_t PairVec __attribute__((vector_size(kVectorBytes)));

template <>
struct PackedOf<bf16> {
  using type = bf16_pair;
  static constexpr int64_t kTerms = 2;
};

template <>
struct Arithmetic<bf16_pair> {
  using Sum = float;
  using Register = PairVec;
  static Register load_lanes(const bf16_pair* p) { return (PairVec)_mm512_loadu_si512(p); }
  static Register broadcast_lane(const bf16_pair* p) {
    return (PairVec)_mm512_set1_epi32(int(p->bits));
  }
  static Vec<float> add_product(Vec<float> sum, Register a, Register b) {
    return (Vec<float>)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
  }
};

// out[k / 2 * out_k + i] = the pair in[i * in_i + k * in_k], in[i * in_i + (k + 1) * in_k]; zero
// beyond the last k.
inline void copy_pairs(const bf16* in, int64_t in_i, int64_t in_k, int64_t ni, int64_t nk,
                       bf16_pair* out, int64_t out_k) {
  constexpr int64_t kSize = kLanes<float>;
  if (in_k == 1 && in_i != 1) {  // pairs lie side by side: squares of them are transposed
    for (int64_t i = 0; i < ni; i += kSize) {
      const int64_t height = least(kSize, ni - i);
      for (int64_t k = 0; k < nk; k += 2 * kSize) {
        const int64_t width = least(2 * kSize, nk - k);
        Vec<float> rows[kSize];
        for (int64_t r = 0; r < kSize; ++r) {
          const bf16* row = in + (i + least(r, height - 1)) * in_i + k;
          rows[r] = (Vec<float>)_mm512_maskz_loadu_epi16(
              __mmask32(width == 2 * kSize ? ~0u : (1u << width) - 1), row);
        }
        transpose<float>(rows);
        for (int64_t r = 0; r < (width + 1) / 2; ++r) {
          store_first(reinterpret_cast<float*>(out + (k / 2 + r) * out_k + i), rows[r], height);
        }
      }
    }
    return;
  }
  for (int64_t k = 0; k < nk; k += 2) {
    for (int64_t i = 0; i < ni; ++i) {
      const bf16* first = in + i * in_i + k * in_k;
      const uint32_t second = k + 1 < nk ? first[in_k].bits : 0;
      out[k / 2 * out_k + i].bits = first->bits | second << 16;
    }
  }
}

inline void pack_panels(const bf16* in, int64_t in_i, int64_t in_k, int64_t count, int64_t depth,
                        int64_t width, bf16_pair* out) {
  const int64_t pairs = ceil_div<int64_t>(depth, 2);
  for (int64_t i = 0; i < count; i += width) {
    const int64_t here = least(width, count - i);
    if (here < width) fill_zero(out + i * pairs, 1, pairs * width);
    copy_pairs(in + i * in_i, in_i, in_k, here, depth, out + i * pairs, width);
  }
}
