// The matrix product under matmul, linear and conv2d.
//
//   out[i, j] = start[i, j] + Σ_k a(i, k) · b(k, j)
//
// Rows are broadcast, columns lie in the lanes of vectors. Where an operand's elements are is said
// by a table of offsets along k, so packed panels, strips of an image and the tensors of a caller
// are multiplied by the same kernel:
//
//   a(i, k) = rows.data[panel(i) * step + at[k] + (i - panel(i)) * stride]
//   b(k, j) = cols.data[j * step + at[k]]               consecutive j of a panel are contiguous
//
// Order of summation: the caller cuts a sum into blocks of at most kTileDepth terms, each summed in
// a register; blocks are added in order to spans of kSpanBlocks blocks, and these to the result.
// So few partial sums are much larger than a term, and long sums keep their accuracy.

// What packed panels of T hold: the type that it is computed in, unless an instruction multiplies
// groups of kTerms neighbours along the sum.
template <class T>
struct PackedOf {
  using type = Accumulator<T>;
  static constexpr int64_t kTerms = 1;
};
template <class T>
using Packed = typename PackedOf<T>::type;

// How panels of P are multiplied.
template <class P>
struct Arithmetic {
  using Sum = P;
  using Register = Vec<P>;
  static Register load_lanes(const P* p) { return load(p); }
  static Register broadcast_lane(const P* p) { return broadcast(*p); }
  static Vec<Sum> add_product(Vec<Sum> sum, Register a, Register b) { return sum + a * b; }
};
template <class P>
using SumOf = typename Arithmetic<P>::Sum;

// Vectors in a panel of columns; panels of few rows are wider, to keep as many sums in flight.
constexpr int kPanelVectors = 2, kWideVectors = 4;
constexpr int kFewRows = kGemmRows / 2;
template <class P>
constexpr int64_t kPanelCols = kPanelVectors * kLanes<SumOf<P>>;
template <class P>
constexpr int64_t kWideCols = kWideVectors * kLanes<SumOf<P>>;

template <class P>
struct Rows {
  const P* data;
  int64_t step;       // from one row to the next, between panels
  int64_t stride;     // the same, within a panel
  const int64_t* at;  // [depth]
  int64_t panel;      // rows in a panel, at most kGemmRows
};
template <class P>
struct Cols {
  const P* data;
  int64_t step;
  const int64_t* at;  // [depth]
  int64_t panel;      // kPanelCols, or kWideCols where there are at most kFewRows rows
};

// What the sum begins with: nothing (nullptr), a bias, or the sums of the blocks before.
template <class Acc>
struct Start {
  const Acc* data;
  int64_t row, col;
};

// p + row, computed where it stands: the compiler would rather keep the addresses of all rows, in
// registers that it does not have.
template <class Acc>
inline Acc* next_row(Acc* p, int64_t row) {
  p += row;
  asm("" : "+r"(p));
  return p;
}

// out[kRows, cols] = start + a · b, cols filling kVectors vectors but for lanes of the last.
// Not inlined: one copy of each serves every operator.
template <class P, int kRows, int kVectors, bool kUnit>
[[gnu::noinline]] void multiply_panel(int64_t depth, const P* a, int64_t a_stride,
                                      const int64_t* a_at, const P* b, const int64_t* b_at,
                                      const SumOf<P>* start, int64_t start_row, SumOf<P>* out,
                                      int64_t out_row, int64_t last) {
  using Math = Arithmetic<P>;
  using Acc = SumOf<P>;
  // The result may have left the near caches since the last block; it is on its way back meanwhile.
  Acc* fetched = out;
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) __builtin_prefetch(fetched + v * kLanes<Acc>, 1);
    fetched = next_row(fetched, out_row);
  }
  Vec<Acc> sums[kRows][kVectors] = {};
  for (int64_t k = 0; k < depth; ++k) {
    const P* row = a + a_at[k];
    const P* col = b + b_at[k];
    typename Math::Register lanes[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) lanes[v] = Math::load_lanes(col + v * kLanes<Acc>);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const typename Math::Register x = Math::broadcast_lane(row);
      row += kUnit ? 1 : a_stride;
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sums[r][v] = Math::add_product(sums[r][v], x, lanes[v]);
    }
  }
  constexpr int kLast = kVectors - 1;
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kLast; ++v) {
      Vec<Acc> sum = sums[r][v];
      if (start != nullptr) sum += load(start + v * kLanes<Acc>);
      store(out + v * kLanes<Acc>, sum);
    }
    Vec<Acc> sum = sums[r][kLast];
    if (start != nullptr) sum += load_first(start + kLast * kLanes<Acc>, last);
    store_first(out + kLast * kLanes<Acc>, sum, last);
    start = next_row(start, start_row);
    out = next_row(out, out_row);
  }
}

template <class P>
using MultiplyPanel = void (*)(int64_t, const P*, int64_t, const int64_t*, const P*, const int64_t*,
                               const SumOf<P>*, int64_t, SumOf<P>*, int64_t, int64_t);

// The kernel that has just the rows and vectors needed.
template <class P, bool kUnit, int kVectors, int kRows>
inline MultiplyPanel<P> panel_kernel(int64_t rows) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return panel_kernel<P, kUnit, kVectors, kRows - 1>(rows);
  }
  return multiply_panel<P, kRows, kVectors, kUnit>;
}
template <class P, bool kUnit>
inline MultiplyPanel<P> panel_kernel(int64_t rows, int64_t vectors) {
  switch (vectors) {
    case 1:
      return panel_kernel<P, kUnit, 1, kGemmRows>(rows);
    case 2:
      return panel_kernel<P, kUnit, 2, kGemmRows>(rows);
    case 3:
      return panel_kernel<P, kUnit, 3, kFewRows>(rows);
    default:
      return panel_kernel<P, kUnit, 4, kFewRows>(rows);
  }
}

// Rows shared out evenly among as few panels as hold them: 64 rows are five panels of 11 and one of
// 9, not five of 12 and a slow one of 4.
inline int64_t panel_rows(int64_t rows, int64_t most = kGemmRows) {
  return rows == 0 ? 1 : ceil_div(rows, ceil_div(rows, most));
}

// out[rows, cols] = start + a · b over one block of the sum. A panel of b stays in the L1 cache
// while those of a stream from the L2 cache; meanwhile the next one, if packed, is fetched to the
// L2 cache.
template <class P>
void multiply(int64_t rows, int64_t cols, int64_t depth, const Rows<P>& a, const Cols<P>& b,
              const Start<SumOf<P>>& start, SumOf<P>* out, int64_t out_row) {
  constexpr int64_t kStep = kLanes<SumOf<P>>;
  for (int64_t j = 0; j < cols; j += b.panel) {
    const int64_t width = least(b.panel, cols - j);
    const int64_t vectors = ceil_div(width, kStep), last = width - (vectors - 1) * kStep;
    const bool more = width < cols - j && b.step == depth;
    const P* next = b.data + (j + b.panel) * b.step;
    const int64_t ahead = more ? depth * b.panel / ceil_div(rows, a.panel) : 0;
    for (int64_t i = 0; i < rows; i += a.panel) {
      for (int64_t k = 0; k < ahead; k += 64 / sizeof(P)) __builtin_prefetch(next + k, 0, 2);
      next += ahead;
      const int64_t height = least(a.panel, rows - i);
      const MultiplyPanel<P> kernel = a.stride == 1 ? panel_kernel<P, true>(height, vectors)
                                                    : panel_kernel<P, false>(height, vectors);
      const SumOf<P>* begin =
          start.data == nullptr ? nullptr : start.data + i * start.row + j * start.col;
      kernel(depth, a.data + i * a.step, a.stride, a.at, b.data + j * b.step, b.at, begin,
             start.row, out + i * out_row + j, out_row, last);
    }
  }
}

// at[k] = k * step
inline void fill_table(int64_t depth, int64_t step, int64_t* at) {
  for (int64_t k = 0; k < depth; ++k) at[k] = k * step;
}
