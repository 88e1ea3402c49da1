// Reading the source of a correlation: rows of many channels at a time, zeros outside the image.

template <class In>
struct Source {
  In data;  // the image, first channel of the group
  int64_t c, h, w;
  int64_t height, width;
};

// Of the columns col + i · stride, i < n, those inside of the image.
template <class In>
Range columns_inside(const Source<In>& source, int64_t col, int64_t stride, int64_t n) {
  const int64_t first = clamp(ceil_quotient(-col, stride), 0, n);
  return {first, clamp(floor_quotient(source.width - 1 - col, stride) + 1, first, n)};
}

// out[k, i] = source[channel + k, row, col + i · stride] for k < channels, i < n; zero outside. P
// may hold several channels, which then count as one k.
template <class In, class P>
void copy_source_row(const Source<In>& source, int64_t channel, int64_t channels, int64_t row,
                     int64_t col, int64_t stride, int64_t n, P* out, int64_t out_k) {
  const Range inside = columns_inside(source, col, stride, n);
  const bool outside = !is_inside(row, source.height);
  const int64_t first = outside ? n : inside.first, last = outside ? n : inside.last;
  const int64_t terms = ceil_div(channels, kTermsOf<In, P>);
  if (first > 0) {
    for (int64_t k = 0; k < terms; ++k) fill_zero(out + k * out_k, 1, first);
  }
  if (first < last) {
    const In in =
        source.data + channel * source.c + row * source.h + (col + first * stride) * source.w;
    copy_terms(in, stride * source.w, source.c, last - first, channels, out + first, 1, out_k);
  }
  if (last < n) {
    for (int64_t k = 0; k < terms; ++k) fill_zero(out + k * out_k + last, 1, n - last);
  }
}

// The same with `width` channels side by side in every place: out[i * width + k], zero for k from
// `channels` on, too.
template <class In, class P>
void copy_source_lanes(const Source<In>& source, int64_t channel, int64_t channels, int64_t row,
                       int64_t col, int64_t stride, int64_t n, int64_t width, P* out) {
  const Range inside =
      is_inside(row, source.height) ? columns_inside(source, col, stride, n) : Range{n, n};
  if (channels < width)
    fill_zero(out + inside.first * width, 1, (inside.last - inside.first) * width);
  fill_zero(out, 1, inside.first * width);
  if (inside.first < inside.last) {
    copy_block(source.data + channel * source.c + row * source.h +
                   (col + inside.first * stride) * source.w,
               source.c, stride * source.w, channels, inside.last - inside.first,
               out + inside.first * width, 1, width);
  }
  fill_zero(out + inside.last * width, 1, (n - inside.last) * width);
}

// A strip of the image for outputs [row, row + rows) x [col, col + cols), laid out so that outputs
// are numbered y · pitch + x and every tap reads at a fixed offset from them:
//
//   [class of rows][class of columns][row][pitch]
//
// The zeros at the end of a row of the image are those at the beginning of the next, as far as
// both are there.
struct StripLayout {
  StripLine h, w;
  int64_t row, rows, col, cols;
  int64_t overlap, pitch;
  int64_t plane, size;
  bool outside;  // whether rows outside of the image are read, too

  StripLayout(const Correlation& c, int64_t row, int64_t rows, int64_t col, int64_t cols,
              bool outside = false)
      : h(c.h, rows), w(c.w, cols), row(row), rows(rows), col(col), cols(cols), outside(outside) {
    overlap = w.period == 0 ? 0 : w.size - cols;
    for (int64_t i = 0; i < w.classes; ++i) {
      const int64_t start = w.position(i, 0, col), step = w.stride;
      const int64_t before = clamp(ceil_quotient(-start, step), 0, w.size);
      const int64_t inside = clamp(floor_quotient(c.source_w - 1 - start, step) + 1, 0, w.size);
      overlap = least(overlap, least(before, w.size - inside));
    }
    pitch = w.size - overlap;
    plane = h.size * pitch + overlap;
    size = h.classes * w.classes * plane;
  }

  // Outputs, with those between the rows that are computed in vain.
  int64_t outputs() const { return (rows - 1) * pitch + cols; }
  int64_t offset(int64_t tap_h, int64_t tap_w) const {
    return (h.class_of(tap_h) * w.classes + w.class_of(tap_w)) * plane + h.offset(tap_h) * pitch +
           w.offset(tap_w);
  }

  // Elements of a row that are filled in: the others are those of the next row, or never read.
  int64_t length(int64_t y, bool inside) const {
    return y + 1 == h.size ? w.size : inside || outside ? pitch : overlap;
  }

  template <class In, class P>
  void fill(const Source<In>& source, int64_t channel, int64_t channels, P* out,
            int64_t out_k) const {
    for (int64_t i = 0; i < h.classes * w.classes; ++i) {
      const int64_t h_class = i / w.classes, w_class = i % w.classes;
      const int64_t first_col = w.position(w_class, 0, col);
      P* to = out + i * plane;
      const int64_t first_row = h.position(h_class, 0, row);
      if (w.stride == 1 && h.stride == 1 && pitch == source.width && first_col == 0 &&
          source.h == source.width * source.w && first_row >= 0 &&
          first_row + h.size <= source.height) {  // rows follow each other in memory
        copy_terms(source.data + channel * source.c + first_row * source.h, source.w, source.c,
                   h.size * pitch, channels, to, 1, out_k);
        continue;
      }
      for (int64_t y = 0; y < h.size; ++y) {
        const int64_t from_row = h.position(h_class, y, row);
        copy_source_row(source, channel, channels, from_row, first_col, w.stride,
                        length(y, is_inside(from_row, source.height)), to + y * pitch, out_k);
      }
    }
  }

  // The same with `width` channels side by side in every place: out[place][lane].
  template <class In, class P>
  void fill_lanes(const Source<In>& source, int64_t channel, int64_t channels, int64_t width,
                  P* out) const {
    for (int64_t i = 0; i < h.classes * w.classes; ++i) {
      const int64_t h_class = i / w.classes, first_col = w.position(i % w.classes, 0, col);
      for (int64_t y = 0; y < h.size; ++y) {
        const int64_t from_row = h.position(h_class, y, row);
        copy_source_lanes(source, channel, channels, from_row, first_col, w.stride,
                          length(y, is_inside(from_row, source.height)), width,
                          out + (i * plane + y * pitch) * width);
      }
    }
  }
};

// Panels [pixels / width][depth][width] of the patches that the outputs [row, row + rows) x
// [col, col + cols) meet, from pixel `first` of the panels on: im2col of one block of terms.
template <class In, class P>
void pack_patches(const Correlation& c, const Source<In>& source, const Block& block, int64_t row,
                  int64_t rows, int64_t col, int64_t cols, int64_t first, int64_t width, P* out) {
  const int64_t taps = block.rows * block.cols;
  const int64_t channels = ceil_div(block.channels, kTermsOf<In, P>), depth = channels * taps;
  const int64_t step = block.cols * width;  // from channel to channel, in the order of the sum
  const bool whole_rows = c.w.stride == 1 && c.h.stride == 1 && c.w.count == 1 && cols == c.out_w &&
                          c.w.first == 0 && cols == source.width &&
                          source.h == source.width * source.w;
  for (int64_t t = 0; t < taps; ++t) {
    const int64_t tap_h = block.row + t / block.cols, tap_w = block.col + t % block.cols;
    const int64_t source_row = c.h.first + tap_h * c.h.step;
    const int64_t source_col = c.w.first + tap_w * c.w.step;
    const bool joined =
        whole_rows && source_row + row >= 0 && source_row + row + rows <= source.height;
    const int64_t lines = joined ? 1 : rows, length = joined ? rows * cols : cols;
    for (int64_t y = 0; y < lines; ++y) {
      const int64_t from_row = (row + y) * c.h.stride + source_row;
      for (int64_t x = 0; x < length;) {
        const int64_t pixel = first + y * cols + x, lane = pixel % width;
        const int64_t n = least(width - lane, length - x);
        P* to = out + (pixel - lane) * depth + lane +
                (t / block.cols * channels * block.cols + t % block.cols) * width;
        if (joined) {
          copy_terms(source.data + block.channel * source.c + from_row * source.h + x * source.w,
                     source.w, source.c, n, block.channels, to, 1, step);
        } else {
          copy_source_row(source, block.channel, block.channels, from_row,
                          (col + x) * c.w.stride + source_col, c.w.stride, n, to, step);
        }
        x += n;
      }
    }
  }
}
