// Tiles of images, to the domain of Winograd's products and back. Channels lie in the lanes.
//
// Tiles of an image are m x m outputs and what those need of the source, numbered along its rows
// and on from image to image. In the domain, element (i, j) of all transformed tiles is a matrix
//
//   [i * n + j][tile][channel]
//
// `pitch` elements from one matrix to the next and `row` from tile to tile.

// How the tiles of an image lie, and a few of them that follow each other in a row.
struct TileGrid {
  int64_t down, across;

  int64_t per_image() const { return down * across; }
};
struct TileRun {
  int64_t image, y, x, count;

  TileRun(const TileGrid& grid, int64_t first, int64_t last)
      : image(first / grid.per_image()),
        y(first % grid.per_image() / grid.across),
        x(first % grid.across),
        count(least(least(last - first, grid.across - x), kWinogradRun)) {}
};

template <class Acc>
alignas(64) constexpr Acc kZeros[kLanes<Acc>] = {};

// Reads tiles and transforms them. Neighbours share columns of the source, which are transformed
// along their height once for both. (Tiles of grad_out, whose kStep is kIn, do not overlap; what of
// them is outside of the image is zero and adds nothing.)
template <class T, class Transform, int kStep>
struct TileReader {
  using Acc = Accumulator<T>;
  static constexpr int kIn = Transform::kIn, kOut = Transform::kOut;
  static constexpr int64_t kLane = kLanes<Acc>;

  TileGrid grid;
  int64_t first_row, first_col;  // of the source, in tile (0, 0)
  Acc* columns;                  // [kOut or kIn][column][lane]

  // Where the rows of a run lie, in the caller's tensor or stored to columns.
  struct Lines {
    const Acc* at[kIn];
    int64_t step[kIn];
    Range inside;  // columns; the others are zeros
  };

  Lines lines_of(const Source<const T*>& source, int64_t channel, int64_t channels, int64_t row,
                 int64_t col, int64_t width) const {
    Lines lines{};
    if constexpr (sizeof(T) == sizeof(Acc)) {
      if (source.c == 1 && channels == kLane) {
        lines.inside.first = clamp(-col, 0, width);
        lines.inside.last = clamp(source.width - col, lines.inside.first, width);
        for (int i = 0; i < kIn; ++i) {
          const bool inside = is_inside(row + i, source.height);
          lines.at[i] =
              inside ? source.data + channel + (row + i) * source.h + col * source.w : kZeros<Acc>;
          lines.step[i] = inside ? source.w : 0;
        }
        return lines;
      }
    }
    lines.inside = {0, width};
    for (int i = 0; i < kIn; ++i) {
      Acc* line = columns + i * width * kLane;
      copy_source_lanes(source, channel, channels, row + i, col, 1, width, kLane, line);
      lines.at[i] = line;
      lines.step[i] = kLane;
    }
    return lines;
  }

  // columns[i][column] = transform of the column, for the run's columns. A column, which may lie
  // there itself, is read before it is written; that of zeros is zero.
  void transform_columns(const Lines& lines, int64_t width) const {
    for (int64_t x = 0; x < width; ++x) {
      const bool inside = x >= lines.inside.first && x < lines.inside.last;
      Vec<Acc> in[kIn], out[kOut] = {};
      if (inside) {
#pragma GCC unroll 8
        for (int i = 0; i < kIn; ++i) {
          const Acc* at = lines.at[i] + x * lines.step[i];
          in[i] = load(at);
          fetch(at + kLane);  // the next channels, where the lines are the caller's
        }
        Transform::template apply<Acc>(in, out);
      }
#pragma GCC unroll 8
      for (int i = 0; i < kOut; ++i) store(columns + (i * width + x) * kLane, out[i]);
    }
  }

  void transform_rows(int64_t tiles, int64_t width, Acc* out, int64_t row, int64_t pitch) const {
    for (int64_t tile = 0; tile < tiles; ++tile) {
      for (int64_t i = 0; i < kOut; ++i) {
        const Acc* from = columns + (i * width + tile * kStep) * kLane;
        Vec<Acc> in[kIn], result[kOut];
#pragma GCC unroll 8
        for (int j = 0; j < kIn; ++j) in[j] = load(from + j * kLane);
        Transform::template apply<Acc>(in, result);
#pragma GCC unroll 8
        for (int j = 0; j < kOut; ++j) store(out + (i * kOut + j) * pitch + tile * row, result[j]);
      }
    }
  }

  // out[i * kOut + j][tile - first][c] for tiles [first, last) and channels [channel, + channels)
  void read(const View4<const T>& from, int64_t height, int64_t width, int64_t channel,
            int64_t channels, int64_t first, int64_t last, Acc* out, int64_t row,
            int64_t pitch) const {
    for (int64_t tile = first; tile < last;) {
      const TileRun run(grid, tile, last);
      const Source<const T*> source{
          from.data + run.image * from.n, from.c, from.h, from.w, height, width};
      const int64_t cols = (run.count - 1) * kStep + kIn;
      for (int64_t c = 0; c < channels; c += kLane) {
        const Lines lines = lines_of(source, channel + c, least(kLane, channels - c),
                                     run.y * kStep + first_row, run.x * kStep + first_col, cols);
        transform_columns(lines, cols);
        transform_rows(run.count, cols, out + (tile - first) * row + c, row, pitch);
      }
      tile += run.count;
    }
  }
};

// Transforms tiles back and writes them.
template <class T, class Transform>
struct TileWriter {
  using Acc = Accumulator<T>;
  static constexpr int m = Transform::kOut, n = Transform::kIn;
  static constexpr int64_t kLane = kLanes<Acc>;

  TileGrid grid;
  Acc* pixels;  // [m][column][lane]

  // From in[i * n + j][tile - first][c]. Outputs of a tile that are outside of the image are
  // dropped.
  void write(const Acc* in, int64_t row, int64_t pitch, const Acc* bias, const View4<T>& to,
             int64_t height, int64_t width, int64_t channels, int64_t first, int64_t last) const {
    for (int64_t tile = first; tile < last;) {
      const TileRun run(grid, tile, last);
      const int64_t rows = least<int64_t>(m, height - run.y * m), col = run.x * m;
      T* out = to.data + run.image * to.n + run.y * m * to.h + col * to.w;
      for (int64_t c = 0; c < channels; c += kLane) {
        const int64_t here = least(kLane, channels - c);
        const bool direct = sizeof(T) == sizeof(Acc) && to.c == 1 && here == kLane && rows == m;
        const Acc* from = in + (tile - first) * row + c;
        int64_t stored = 0;  // columns that need no copy
        for (int64_t i = 0; i < run.count; ++i, from += row) {
          Acc* at = pixels + i * m * kLane;
          int64_t at_row = run.count * m * kLane, at_col = kLane;
          if constexpr (sizeof(T) == sizeof(Acc)) {
            if (direct && col + (i + 1) * m <= width) {
              at = out + c + i * m * to.w;
              at_row = to.h;
              at_col = to.w;
              stored = (i + 1) * m;
              for (int64_t y = 0; y < m; ++y) {  // fetches where the next tile goes
                for (int64_t x = m; x < 2 * m; ++x) {
                  __builtin_prefetch(at + y * at_row + x * at_col, 1);
                }
              }
            }
          }
          transform_square<Transform>(from, n * pitch, pitch, bias == nullptr ? bias : bias + c, at,
                                      at_row, at_col);
        }
        const int64_t cols = least(run.count * m, width - col) - stored;
        for (int64_t i = 0; i < rows && cols > 0; ++i) {
          copy_block(pixels + (i * run.count * m + stored) * kLane, kLane, 1, cols, here,
                     out + i * to.h + stored * to.w + c * to.c, to.w, to.c);
        }
      }
      tile += run.count;
    }
  }
};
