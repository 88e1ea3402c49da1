// The matrix product under matmul, linear and conv2d.
//
//   out[row, col] = Σ_k a(row, k) · b(k, col)
//
// a and b are operands: objects that pack a block of themselves, from whatever tensor they view,
// into panels[k][width] of scratch memory (width = kGemmRows for a, two vectors for b):
//
//   a.pack(first, count, k, depth, panel, width): panel[j * width + i] = element(first + i, k + j)
//
// Summation order: blocks of kTileDepth terms, each summed in a register, are added up in order to
// spans of kSpan terms, and these to the result. So few partial sums are much larger than a term,
// and long sums keep their accuracy.

// A matrix whose two indices are axes of a tensor.
template <class T>
struct StridedOperand {
  const T* data;
  Axis outer;  // rows of a, columns of b
  Axis inner;  // the summed index

  template <class P>
  void pack(int64_t first, int64_t count, int64_t k, int64_t depth, P* panel, int64_t width) const {
    const bool along_outer = outer.run(first, count) == count && outer.stride0 == 1;
    const T* base = data + outer.offset(first);
    for (int64_t j = 0; j < depth;) {
      const int64_t run = inner.run(k + j, depth - j);
      const int64_t start = inner.offset(k + j);
      if (along_outer) {
        for (int64_t jj = 0; jj < run; ++jj) {
          copy_run(base + start + jj * inner.stride0, 1, panel + (j + jj) * width, 1, count);
        }
      } else {
        for (int64_t i = 0; i < count; ++i) {
          copy_run(data + outer.offset(first + i) + start, inner.stride0, panel + j * width + i,
                   width, run);
        }
      }
      j += run;
    }
  }
};

// Writes finished rows of a tile to a tensor, with a bias per row or per column.
template <class T>
struct StridedStore {
  T* data;
  Axis rows, cols;
  const T* row_bias;  // nullptr: none
  const T* col_bias;
  int64_t bias_stride;

  template <class Acc>
  void operator()(int64_t row, int64_t col, int64_t count, Acc* sums) const {
    if (row_bias != nullptr) {
      const Acc bias = widen(row_bias[row * bias_stride]);
      for (int64_t i = 0; i < count; ++i) sums[i] += bias;
    }
    if (col_bias != nullptr) {
      for (int64_t i = 0; i < count; ++i) sums[i] += widen(col_bias[(col + i) * bias_stride]);
    }
    T* out = data + rows.offset(row);
    for (int64_t i = 0; i < count;) {
      const int64_t run = cols.run(col + i, count - i);
      store_run(out + cols.offset(col + i), sums + i, run);
      i += run;
    }
  }

  template <class Acc>
  void store_run(T* out, const Acc* sums, int64_t n) const {
    int64_t i = 0;
    if (cols.stride0 == 1) {
      constexpr int64_t kStep = kLanes<Acc>;
      for (; i + kStep <= n; i += kStep) store(out + i, load(sums + i));
    }
    for (; i < n; ++i) narrow(sums[i], out + i * cols.stride0);
  }
};

// sums[kRows, 2 vectors] = or += acc
template <int kRows, class Acc, class V>
inline void store_sums(const V (&acc)[kRows][2], Acc* sums, bool add) {
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    for (int i = 0; i < 2; ++i) {
      Acc* p = sums + r * kTileCols + i * kLanes<Acc>;
      store(p, add ? load(p) + (Vec<Acc>)acc[r][i] : (Vec<Acc>)acc[r][i]);
    }
  }
}

// How panels of T are multiplied: the type they hold, the number of consecutive k that one
// multiplication takes in, what must be done to a packed panel first, and the micro-kernel
//
//   sums[kRows, 2 vectors] (+)= a[depth, kGemmRows] · b[depth, 2 vectors]
//
// whose kRows x 2 vectors of sums stay in registers.
template <class T>
struct MicroKernel {
  using Panel = Accumulator<T>;
  static constexpr int64_t kGroup = 1;

  static void finish(Panel*, int64_t, int64_t) {}

  // Not inlined: one copy of each serves every operator.
  template <int kRows>
  [[gnu::noinline]] static void multiply(int64_t depth, const Panel* a, const Panel* b, Panel* sums,
                                         bool add) {
    constexpr int64_t kStep = kLanes<Panel>;
    Vec<Panel> acc[kRows][2] = {};
    for (int64_t k = 0; k < depth; ++k) {
      const Vec<Panel> b0 = load(b), b1 = load(b + kStep);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        acc[r][0] += a[r] * b0;
        acc[r][1] += a[r] * b1;
      }
      a += kGemmRows;
      b += 2 * kStep;
    }
    store_sums<kRows>(acc, sums, add);
  }
};

// Runs the micro-kernel that has just the rows needed.
template <class Kernel, int kRows, class P, class Acc>
inline void multiply_rows(int64_t rows, int64_t depth, const P* a, const P* b, Acc* sums,
                          bool add) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return multiply_rows<Kernel, kRows - 1>(rows, depth, a, b, sums, add);
  }
  Kernel::template multiply<kRows>(depth, a, b, sums, add);
}

// Packs `count` rows or columns of an operand as panels of `width`.
template <class T, class Operand>
inline void pack_block(const Operand& operand, int64_t first, int64_t count, int64_t k,
                       int64_t depth, int64_t width, typename MicroKernel<T>::Panel* block) {
  using Kernel = MicroKernel<T>;
  const int64_t packed_depth = ceil_div(depth, Kernel::kGroup) * Kernel::kGroup;
  for (int64_t i = 0; i < count; i += width) {
    typename Kernel::Panel* panel = block + i * packed_depth;
    const int64_t here = least(width, count - i);
    if (here < width || packed_depth > depth) fill_zero(panel, 1, packed_depth * width);
    operand.pack(first + i, here, k, depth, panel, width);
    Kernel::finish(panel, packed_depth, width);
  }
}

// A tile of the output: its place, its size and the part of the sum that it takes.
struct Tile {
  int64_t row, rows, col, cols, k, k_end;
};

// Scratch of one thread, as gemm_scratch_bytes counts it.
template <class T>
struct Scratch {
  using Acc = Accumulator<T>;
  using Panel = typename MicroKernel<T>::Panel;

  Acc* sums;    // [kTileRows, kTileCols]: up to kSpan terms
  Acc* totals;  // the same: spans added up
  Panel* a;     // [panels, depth, kGemmRows]
  Panel* b;     // [panels, depth, two vectors]

  explicit Scratch(void* memory)
      : sums(static_cast<Acc*>(memory)),
        totals(sums + kTileRows * kTileCols),
        a(reinterpret_cast<Panel*>(totals + kTileRows * kTileCols)),
        b(a + kTileRows * kTileDepth) {}
};

// scratch.sums = a · b over one span of a tile
template <class T, class A, class B>
void multiply_span(const A& a, const B& b, const Tile& tile, const Scratch<T>& scratch) {
  using Kernel = MicroKernel<T>;
  constexpr int64_t kWidth = 2 * kLanes<Accumulator<T>>;
  static_assert(kTileRows % kGemmRows == 0 && kTileCols % kWidth == 0, "tiles hold whole panels");
  for (int64_t k = tile.k; k < tile.k_end; k += kTileDepth) {
    const int64_t depth = least(kTileDepth, tile.k_end - k);
    const int64_t packed_depth = ceil_div(depth, Kernel::kGroup) * Kernel::kGroup;
    pack_block<T>(a, tile.row, tile.rows, k, depth, kGemmRows, scratch.a);
    pack_block<T>(b, tile.col, tile.cols, k, depth, kWidth, scratch.b);
    for (int64_t j = 0; j < tile.cols; j += kWidth) {
      for (int64_t i = 0; i < tile.rows; i += kGemmRows) {
        multiply_rows<Kernel, kGemmRows>(least<int64_t>(kGemmRows, tile.rows - i), packed_depth,
                                         scratch.a + i * packed_depth, scratch.b + j * packed_depth,
                                         scratch.sums + i * kTileCols + j, k > tile.k);
      }
    }
  }
}

// Computes and stores one tile.
template <class T, class A, class B, class Store>
void gemm_tile(const A& a, const B& b, const Store& store_row, const Tile& tile, void* memory) {
  const Scratch<T> scratch(memory);
  Accumulator<T>* result = scratch.sums;
  if (tile.k == tile.k_end) fill_zero(result, 1, kTileRows * kTileCols);
  for (int64_t k = tile.k; k < tile.k_end; k += kSpan) {
    Tile span = tile;
    span.k = k;
    span.k_end = least(k + kSpan, tile.k_end);
    multiply_span<T>(a, b, span, scratch);
    if (tile.k_end - tile.k <= kSpan) break;
    result = scratch.totals;
    for (int64_t i = 0; i < tile.rows * kTileCols; ++i) {
      result[i] = k == tile.k ? scratch.sums[i] : result[i] + scratch.sums[i];
    }
  }
  for (int64_t i = 0; i < tile.rows; ++i) {
    store_row(tile.row + i, tile.col, tile.cols, result + i * kTileCols);
  }
}

// The tile with the given number of a [rows, cols] output; tiles of one row strip follow each
// other.
template <class T, class A, class B, class Store>
void gemm_tile_at(int64_t number, int64_t rows, int64_t cols, const A& a, const B& b,
                  const Store& store_row, int64_t k, int64_t k_end, void* memory) {
  const int64_t strips = ceil_div(cols, kTileCols);
  const int64_t row = number / strips * kTileRows, col = number % strips * kTileCols;
  const Tile tile{row, least(kTileRows, rows - row), col, least(kTileCols, cols - col), k, k_end};
  gemm_tile<T>(a, b, store_row, tile, memory);
}
