// bf16 products two at a time: vdpbf16ps multiplies pairs of bf16 and adds both products to a
// float. What is packed are pairs of elements that follow each other along the sum. (The
// instruction takes subnormal inputs and sums for zero.)

// The bits of both, the first one's below; so copies, which only move bits, know the type.
using bf16_pair = int32_t;

template <>
struct PackedOf<bf16> {
  using type = bf16_pair;
  static constexpr int64_t kTerms = 2;
};

template <>
struct Arithmetic<bf16_pair> {
  using Sum = float;
  using Register = Vec<bf16_pair>;
  static Register load_lanes(const bf16_pair* p) { return load(p); }
  static Register broadcast_lane(const bf16_pair* p) {  // in a tensor, at an even address only
    bf16_pair pair;
    __builtin_memcpy(&pair, p, sizeof(pair));
    return broadcast(pair);
  }
  static Vec<float> add_product(Vec<float> sum, Register a, Register b) {
    return (Vec<float>)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
  }
};

// Pairs of elements that lie `second` apart; with no `mask`, of an element and a zero.
struct Pairs {
  const bf16* first;
  int64_t second;
  uint32_t mask;

  Pairs(const bf16* first, int64_t second, bool both)
      : first(first), second(both ? second : 0), mask(both ? ~0u : 0) {}
  Pairs operator+(int64_t n) const {
    Pairs moved = *this;
    moved.first += n;
    return moved;
  }
  bf16_pair operator[](int64_t i) const {
    return bf16_pair(first[i].bits | (uint32_t(first[i + second].bits) << 16 & mask));
  }
};
inline __m512i join(__m256i low, __m256i high, uint32_t mask) {
  const __m512i second = _mm512_slli_epi32(_mm512_cvtepu16_epi32(high), 16);
  return _mm512_or_si512(_mm512_cvtepu16_epi32(low),
                         _mm512_and_si512(second, _mm512_set1_epi32(int(mask))));
}
inline Vec<bf16_pair> load(Pairs p) {
  const auto* low = reinterpret_cast<const __m256i*>(p.first);
  const auto* high = reinterpret_cast<const __m256i*>(p.first + p.second);
  return (Vec<bf16_pair>)join(_mm256_loadu_si256(low), _mm256_loadu_si256(high), p.mask);
}
inline Vec<bf16_pair> load_first(Pairs p, int64_t n) {
  const __mmask16 lanes = __mmask16(lanes_between(0, n));
  return (Vec<bf16_pair>)join(_mm256_maskz_loadu_epi16(lanes, p.first),
                              _mm256_maskz_loadu_epi16(lanes, p.first + p.second), p.mask);
}
inline void fetch(Pairs p) {
  __builtin_prefetch(p.first);
  __builtin_prefetch(p.first + p.second);
}

// Pairs of neighbours in memory, counted as such.
struct Neighbours {
  const bf16* first;

  Neighbours operator+(int64_t n) const { return {first + 2 * n}; }
  bf16_pair operator[](int64_t i) const {
    bf16_pair pair;
    __builtin_memcpy(&pair, first + 2 * i, sizeof(pair));
    return pair;
  }
};
inline Vec<bf16_pair> load(Neighbours p) { return (Vec<bf16_pair>)_mm512_loadu_si512(p.first); }
inline Vec<bf16_pair> load_first(Neighbours p, int64_t n) {
  return (Vec<bf16_pair>)_mm512_maskz_loadu_epi32(__mmask16(lanes_between(0, n)), p.first);
}
inline void fetch(Neighbours p) { __builtin_prefetch(p.first); }
template <bool kWhole, class V>
inline bool load_columns(Neighbours in, const int64_t (&at)[16], int64_t width, V (&columns)[16]) {
  return load_columns<kWhole>(reinterpret_cast<const float*>(in.first), at, width, columns);
}

template <>
constexpr int64_t kTermsOf<const bf16*, bf16_pair> = 2;

// out[k / 2 * out_k + i * out_i] = the pair in[i * in_i + k * in_k], in[i * in_i + (k + 1) * in_k];
// zero beyond the last k.
inline void copy_terms(const bf16* in, int64_t in_i, int64_t in_k, int64_t ni, int64_t nk,
                       bf16_pair* out, int64_t out_i, int64_t out_k) {
  const int64_t pairs = nk / 2;
  if (in_k == 1 && in_i % 2 == 0) {
    copy_block(Neighbours{in}, in_i / 2, 1, ni, pairs, out, out_i, out_k);
  } else {
    copy_block(Pairs(in, in_k, true), in_i, 2 * in_k, ni, pairs, out, out_i, out_k);
  }
  if (nk % 2 != 0) {
    copy_block(Pairs(in + (nk - 1) * in_k, 0, false), in_i, 2 * in_k, ni, 1, out + pairs * out_k,
               out_i, out_k);
  }
}

template <class P>
  requires(kTermsOf<const bf16*, P> == 2)
inline Pairs pieces(const bf16* first, int64_t stride, int64_t count) {
  return Pairs(first, stride, count > 1);
}

inline void pack_panels(const bf16* in, int64_t in_i, int64_t in_k, int64_t count, int64_t depth,
                        int64_t width, bf16_pair* out) {
  const int64_t pairs = ceil_div<int64_t>(depth, 2);
  for (int64_t i = 0; i < count; i += width) {
    const int64_t here = least(width, count - i);
    if (here < width) fill_zero(out + i * pairs, 1, pairs * width);
    copy_terms(in + i * in_i, in_i, in_k, here, depth, out + i * pairs, 1, width);
  }
}
