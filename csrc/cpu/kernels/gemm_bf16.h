// bf16 products two at a time: vdpbf16ps multiplies pairs of bf16 and adds both products to a
// float. Panels keep bf16 and hold the elements of k and k + 1 side by side. (The instruction takes
// subnormal inputs and sums for zero.)

template <>
struct MicroKernel<bf16> {
  using Panel = bf16;
  static constexpr int64_t kGroup = 2;

  // Interleaves rows k and k + 1 of panel[depth, width].
  static void finish(bf16* panel, int64_t depth, int64_t width) {
    bf16 pair[2 * 2 * kLanes<float>];
    for (int64_t k = 0; k < depth; k += 2) {
      bf16* rows = panel + k * width;
      for (int64_t i = 0; i < width; ++i) {
        pair[2 * i] = rows[i];
        pair[2 * i + 1] = rows[width + i];
      }
      for (int64_t i = 0; i < 2 * width; ++i) rows[i] = pair[i];
    }
  }

  template <int kRows>
  [[gnu::noinline]] static void multiply(int64_t depth, const bf16* a, const bf16* b, float* sums,
                                         bool add) {
    constexpr int64_t kStep = kLanes<float>;
    typedef int32_t Pair __attribute__((may_alias, aligned(2)));
    __m512 acc[kRows][2] = {};
    for (int64_t k = 0; k < depth; k += 2) {
      const __m512bh b0 = (__m512bh)_mm512_loadu_si512(b);
      const __m512bh b1 = (__m512bh)_mm512_loadu_si512(b + 2 * kStep);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        const __m512bh pair =
            (__m512bh)_mm512_set1_epi32(*reinterpret_cast<const Pair*>(a + 2 * r));
        acc[r][0] = _mm512_dpbf16_ps(acc[r][0], pair, b0);
        acc[r][1] = _mm512_dpbf16_ps(acc[r][1], pair, b1);
      }
      a += 2 * kGemmRows;
      b += 4 * kStep;
    }
    store_sums<kRows>(acc, sums, add);
  }
};
