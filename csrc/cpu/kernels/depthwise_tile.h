// Tiles of a depthwise convolution with a dense 3 x 3 kernel, lanes along the channels: what is
// loaded serves all results and taps that meet it. Where a tile reaches over the edge of the image
// it reads zeros and writes to scratch, so that edges cost no more than what is inside.

// The shape of a tile of kRows x kPixels results. Taps are in order of the source.
template <int kStep, int kPhases, int kRows, int kPixels>
struct DepthwiseTile {
  static constexpr int kSize = 3;
  static constexpr int rows = kRows, pixels = kPixels, step = kStep, phases = kPhases;

  // The tap by which result i meets element n of its source, in one dimension.
  static constexpr int tap(int i, int n) { return n * kPhases - i * kStep + kPhases - 1; }
  static constexpr bool meets(int i, int n) { return tap(i, n) >= 0 && tap(i, n) < kSize; }
  static constexpr bool begins(int i, int n) { return meets(i, n) && !meets(i, n - 1); }
  static constexpr bool ends(int i, int n) { return meets(i, n) && !meets(i, n + 1); }
  static constexpr int reach(int results) {
    return (kSize + (results - 1) * kStep - kPhases) / kPhases + 1;
  }
  static constexpr int next = kPixels * kStep / kPhases;  // from the source of a tile to the next
  static constexpr int source_rows = reach(kRows), source_pixels = reach(kPixels);

  static bool fits(const DepthwiseLine& line) {
    return line.taps == kSize && line.tap_step * line.tap_step == 1 && line.step == kStep &&
           line.phases == kPhases;
  }
  // The last result up to `at` with which a tile may begin, and the first of its source.
  static int64_t first_result(const DepthwiseLine& line, int64_t at) {
    return at - (at + line.first + kPhases - 1) % kPhases;
  }
  static int64_t first_source(const DepthwiseLine& line, int64_t result) {
    const int64_t first = result * kStep + line.first;
    return line.tap_step > 0 ? first : floor_quotient(first + kPhases - kSize, kPhases);
  }
};

// Sums of three columns of 4 rows, 9 weights and 2 more fit 32 registers; of 2 rows, about 16.
template <int kStep, int kPhases>
using ResultTile =
    DepthwiseTile<kStep, kPhases, kVectorBytes == 64 && kStep * kPhases == 1 ? 4 : 2, 7 * kPhases>;

// Where the pixels of a tile lie, which begins at a row and column.
template <class Tile, class S, class D>
struct TileAddresses {
  const S* source[Tile::source_rows][Tile::source_pixels];
  D* dest[Tile::rows][Tile::pixels];
  // From here to the next tile of the row, which is fetched into the cache: its pixels are too many
  // streams for the CPU to foresee.
  int64_t source_ahead, dest_ahead;

  void find_source(const DepthwiseLine& h, const DepthwiseLine& w, const View4<const S>& view,
                   int64_t row, int64_t col, const S* zero) {
    const int64_t y = Tile::first_source(h, row), x = Tile::first_source(w, col);
    const S* first = view.data + y * view.h + x * view.w;
    source_ahead = Tile::next * view.w;
    for (int i = 0; i < Tile::source_rows; ++i) {
      const bool in_row = within(y + i, h.source);
      for (int j = 0; j < Tile::source_pixels; ++j) {
        const S* at = first + i * view.h + j * view.w;
        source[i][j] = in_row && within(x + j, w.source) ? at : zero;
      }
    }
  }
  // Results outside of rows [begin, end) and of columns go to `outside`.
  void find_dest(int64_t begin, int64_t end, int64_t columns, const View4<D>& view, int64_t row,
                 int64_t col, D* outside) {
    D* first = view.data + row * view.h + col * view.w;
    dest_ahead = Tile::pixels * view.w;
    for (int i = 0; i < Tile::rows; ++i) {
      const bool in_row = row + i >= begin && row + i < end;
      for (int j = 0; j < Tile::pixels; ++j) {
        D* at = first + i * view.h + j * view.w;
        dest[i][j] = in_row && within(col + j, columns) ? at : outside;
      }
    }
  }
};

// One vector of channels of a tile: dest = Σ taps weight · source + bias. Columns are stored as
// soon as they are complete, so that few sums are kept at a time.
template <class Tile, class T>
inline void correlate_tile(const TileAddresses<Tile, T, T>& tile, int64_t channel,
                           const Accumulator<T>* weight, int64_t tap_step,
                           const Accumulator<T>* bias) {
  using Acc = Accumulator<T>;
  constexpr int kSize = Tile::kSize;
  Vec<Acc> w[kSize][kSize], sum[Tile::rows][Tile::pixels];
  const Vec<Acc> start = load(bias);
#pragma GCC unroll 16
  for (int i = 0; i < kSize * kSize; ++i) w[i / kSize][i % kSize] = load(weight + i * tap_step);
#pragma GCC unroll 16
  for (int col = 0; col < Tile::source_pixels; ++col) {
#pragma GCC unroll 16
    for (int j = 0; j < Tile::pixels; ++j) {
#pragma GCC unroll 16
      for (int i = 0; i < Tile::rows; ++i) {
        if (Tile::begins(j, col)) sum[i][j] = start;
      }
    }
#pragma GCC unroll 16
    for (int row = 0; row < Tile::source_rows; ++row) {
      const Vec<Acc> v = load(tile.source[row][col] + channel);
      if (col >= Tile::source_pixels - Tile::next) {
        __builtin_prefetch(tile.source[row][col] + channel + tile.source_ahead);
      }
#pragma GCC unroll 16
      for (int j = 0; j < Tile::pixels; ++j) {
#pragma GCC unroll 16
        for (int i = 0; i < Tile::rows; ++i) {
          if (Tile::meets(i, row) && Tile::meets(j, col)) {
            sum[i][j] += w[Tile::tap(i, row)][Tile::tap(j, col)] * v;
          }
        }
      }
    }
#pragma GCC unroll 16
    for (int j = 0; j < Tile::pixels; ++j) {
#pragma GCC unroll 16
      for (int i = 0; i < Tile::rows; ++i) {
        if (Tile::ends(j, col)) {
          store(tile.dest[i][j] + channel, sum[i][j]);
          __builtin_prefetch(tile.dest[i][j] + channel + tile.dest_ahead, 1);
        }
      }
    }
  }
}

// The weight gradient of one vector of channels: sum[tap] += Σ dest · source, `dest` being
// grad_out.
template <class Tile, class T>
inline void add_tile(const TileAddresses<Tile, T, const T>& tile, int64_t channel,
                     Accumulator<T>* sum, int64_t tap_step) {
  using Acc = Accumulator<T>;
  constexpr int kSize = Tile::kSize;
  Vec<Acc> w[kSize][kSize], grad[Tile::rows][Tile::pixels];
#pragma GCC unroll 16
  for (int i = 0; i < kSize * kSize; ++i) w[i / kSize][i % kSize] = load(sum + i * tap_step);
#pragma GCC unroll 16
  for (int col = 0; col < Tile::source_pixels; ++col) {
#pragma GCC unroll 16
    for (int j = 0; j < Tile::pixels; ++j) {
#pragma GCC unroll 16
      for (int i = 0; i < Tile::rows; ++i) {
        if (Tile::begins(j, col)) {
          grad[i][j] = load(tile.dest[i][j] + channel);
          __builtin_prefetch(tile.dest[i][j] + channel + tile.dest_ahead);
        }
      }
    }
#pragma GCC unroll 16
    for (int row = 0; row < Tile::source_rows; ++row) {
      const Vec<Acc> v = load(tile.source[row][col] + channel);
      if (col >= Tile::source_pixels - Tile::next) {
        __builtin_prefetch(tile.source[row][col] + channel + tile.source_ahead);
      }
#pragma GCC unroll 16
      for (int j = 0; j < Tile::pixels; ++j) {
#pragma GCC unroll 16
        for (int i = 0; i < Tile::rows; ++i) {
          if (Tile::meets(i, row) && Tile::meets(j, col)) {
            w[Tile::tap(i, row)][Tile::tap(j, col)] += grad[i][j] * v;
          }
        }
      }
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < kSize * kSize; ++i) store(sum + i * tap_step, w[i / kSize][i % kSize]);
}
