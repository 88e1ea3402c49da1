// A tile of a product: its operands packed block by block, its sums, and the way out.

// Memory of one thread, handed out piece by piece; the sizes are those of the plan that asked for
// it, rounded up to whole cache lines.
struct Scratch {
  char* next;

  template <class P>
  P* take(int64_t count) {
    P* piece = reinterpret_cast<P*>(next);
    next += ceil_div<int64_t>(count * sizeof(P), 64) * 64;
    return piece;
  }
};

// Panels [count / width][depth][width] of elements in[i * in_i + k * in_k]. The last panel is
// filled up with zeros. Works through a few k of all panels at a time, so that long contiguous
// pieces of the tensor are read.
template <class T, class P>
void pack_panels(const T* in, int64_t in_i, int64_t in_k, int64_t count, int64_t depth,
                 int64_t width, P* out) {
  const int64_t whole = count / width * width, rest = count - whole;
  const int64_t step = in_k == 1 ? depth : 16;
  for (int64_t k = 0; k < depth; k += step) {
    const int64_t some = least(step, depth - k);
    const T* from = in + k * in_k;
    for (int64_t i = 0; i < whole; i += width) {
      copy_block(from + i * in_i, in_i, in_k, width, some, out + i * depth + k * width, 1, width);
    }
    if (rest > 0) {
      P* panel = out + whole * depth + k * width;
      fill_zero(panel, 1, some * width);
      copy_block(from + whole * in_i, in_i, in_k, rest, some, panel, 1, width);
    }
  }
}

// The sums of a tile, while its blocks are added up.
template <class P>
struct TileSums {
  using Acc = SumOf<P>;

  Acc* sums;    // [rows, row]: the span at hand
  int64_t row;  // from one row of sums to the next
  Acc* totals;  // [rows, row]: the spans before; needed by more than kSpanBlocks blocks only
  Start<Acc> bias;
  // Where the last block is written, if not to sums.
  Acc* result = nullptr;
  int64_t result_row = 0, last_block = -1;

  // The result's own memory takes the sums, unless its rows lie so that those of a panel compete
  // for the same few places of the L1 cache: then the last block alone goes there.
  void write_to(Acc* out, int64_t out_row, int64_t blocks) {
    result = out;
    result_row = out_row;
    last_block = blocks - 1;
    if (!rows_collide(out_row * sizeof(Acc))) {
      sums = out;
      row = out_row;
    }
  }

  // Those of the rows and columns from (i, j) on.
  TileSums at(int64_t i, int64_t j) const {
    TileSums part = *this;
    part.sums += i * row + j;
    part.totals += i * row + j;
    if (result != nullptr) part.result += i * result_row + j;
    if (bias.data != nullptr) part.bias.data += i * bias.row + j * bias.col;
    return part;
  }

  void add_block(int64_t block, int64_t rows, int64_t cols, int64_t depth, const Rows<P>& a,
                 const Cols<P>& b) const {
    const int64_t in_span = block % kSpanBlocks;
    if (block > 0 && in_span == 0) add_span(block == kSpanBlocks, rows, cols);
    const Start<Acc> start = block == 0    ? bias
                             : in_span > 0 ? Start<Acc>{sums, row, 1}
                                           : Start<Acc>{nullptr, 0, 0};
    const bool last = block == last_block;
    multiply(rows, cols, depth, a, b, start, last ? result : sums, last ? result_row : row);
  }

  void add_span(bool first, int64_t rows, int64_t cols) const {
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < cols; ++j) {
        Acc* total = totals + i * row + j;
        *total = first ? sums[i * row + j] : *total + sums[i * row + j];
      }
    }
  }

  // After the last block: the whole sums.
  Acc* finish(int64_t blocks, int64_t rows, int64_t cols) const {
    if (blocks == 0) {
      for (int64_t i = 0; i < rows; ++i) {
        for (int64_t j = 0; j < cols; ++j) {
          sums[i * row + j] =
              bias.data == nullptr ? Acc(0) : bias.data[i * bias.row + j % bias_period()];
        }
      }
    }
    if (blocks <= kSpanBlocks) return sums;
    add_span(false, rows, cols);
    return totals;
  }

  // A bias of rows is spread over the lanes of one panel.
  int64_t bias_period() const { return bias.col == 0 ? 1 : INT64_MAX; }
};

// The bias as a start: of columns as they are, of rows spread over the lanes of a panel.
template <class T, class Acc>
Start<Acc> start_with_bias(const T* bias, int64_t stride, bool of_rows, int64_t count, Acc* out) {
  if (bias == nullptr) return {nullptr, 0, 0};
  constexpr int64_t kSpread = kWideCols<Acc>;
  for (int64_t i = 0; i < count; ++i) {
    const Acc value = widen(bias[i * stride]);
    if (!of_rows) {
      out[i] = value;
    } else {
      for (int64_t j = 0; j < kSpread; ++j) out[i * kSpread + j] = value;
    }
  }
  return of_rows ? Start<Acc>{out, kSpread, 0} : Start<Acc>{out, 0, 1};
}
