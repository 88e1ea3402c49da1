// Elements that change lanes: squares that are transposed, and pairs. Included after simd/vec.h.

// ---- as many vectors as lanes: a square matrix, transposed in registers ------------------------

template <class T>
inline void transpose(Vec<T>* rows) {
  constexpr int kSize = kLanes<T>;
#ifdef __clang__  // has no shuffle whose indices are a vector
  T in[kSize][kSize];
  for (int i = 0; i < kSize; ++i) store(in[i], rows[i]);
  for (int i = 0; i < kSize; ++i) {
    for (int j = 0; j < kSize; ++j) rows[i][j] = in[j][i];
  }
#else
  // Shuffles that every CPU has for itself, which take a third of the time of free ones: inside of
  // blocks of 16 bytes two rows are interleaved, and then whole blocks dealt out, in rounds.
  constexpr int kBlock = 16 / sizeof(T), kBlocks = kSize / kBlock;
  Vec<Bits<T> > low, even;
  for (int lane = 0; lane < kSize; ++lane) {
    const int block = lane / kBlock, in_block = lane % kBlock;
    low[lane] = in_block % 2 * kSize + block * kBlock + in_block / 2;
    even[lane] = 2 * block * kBlock + in_block;  // counts on into the second row
  }
  const Vec<Bits<T> > high = low + kBlock / 2, odd = even + kBlock;
#pragma GCC unroll 4
  for (int round = 1; round < kBlock; round *= 2) {
#pragma GCC unroll 16
    for (int first = 0; first < kSize; first += kBlock) {
      Vec<T> in[kBlock];
#pragma GCC unroll 4
      for (int i = 0; i < kBlock; ++i) in[i] = rows[first + i];
#pragma GCC unroll 4
      for (int i = 0; i < kBlock / 2; ++i) {
        rows[first + 2 * i] = __builtin_shuffle(in[i], in[i + kBlock / 2], low);
        rows[first + 2 * i + 1] = __builtin_shuffle(in[i], in[i + kBlock / 2], high);
      }
    }
  }
#pragma GCC unroll 4
  for (int round = 1; round < kBlocks; round *= 2) {
#pragma GCC unroll 4
    for (int row = 0; row < kBlock; ++row) {
      Vec<T> in[kBlocks];
#pragma GCC unroll 4
      for (int i = 0; i < kBlocks; ++i) in[i] = rows[row + i * kBlock];
#pragma GCC unroll 4
      for (int i = 0; i < kBlocks / 2; ++i) {
        rows[row + i * kBlock] = __builtin_shuffle(in[2 * i], in[2 * i + 1], even);
        rows[row + (i + kBlocks / 2) * kBlock] = __builtin_shuffle(in[2 * i], in[2 * i + 1], odd);
      }
    }
  }
#endif
}

// Where an instruction set has no faster way to load what is to be transposed.
template <bool kWhole, class In, class At, class V>
inline bool load_columns(const In& /*in*/, const At& /*at*/, int64_t /*width*/, V& /*columns*/) {
  return false;
}

// ---- pairs -------------------------------------------------------------------------------------

// The even (or odd) lanes of a and then of b; and, the other way round, the lanes of a and b in
// turn: the first or second vector of them.
template <int odd, class T>
inline Vec<T> every_second(Vec<T> a, Vec<T> b) {
  constexpr int n = kLanes<T>;
#ifdef __clang__  // which makes one shuffle of these loops, but has none by a vector of indices
  Vec<T> v;
  for (int i = 0; i < n; ++i) v[i] = i < n / 2 ? a[2 * i + odd] : b[2 * i + odd - n];
  return v;
#else
  Vec<Bits<T> > at;
  for (int i = 0; i < n; ++i) at[i] = 2 * i + odd;
  return __builtin_shuffle(a, b, at);
#endif
}
template <int half, class T>
inline Vec<T> in_turn(Vec<T> a, Vec<T> b) {
  constexpr int n = kLanes<T>;
#ifdef __clang__
  Vec<T> v;
  for (int i = 0; i < n; ++i) v[i] = i % 2 ? b[(half * n + i) / 2] : a[(half * n + i) / 2];
  return v;
#else
  Vec<Bits<T> > at;
  for (int i = 0; i < n; ++i) at[i] = (half * n + i) / 2 + i % 2 * n;
  return __builtin_shuffle(a, b, at);
#endif
}
