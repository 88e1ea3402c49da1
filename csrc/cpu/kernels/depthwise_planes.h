// Depthwise convolution with lanes along the pixels of a plane. A band of a plane is copied to
// scratch, padded, as DepthwiseBands describes; every tap is then the same flat array at another
// offset, and vectors may run on from one row into the next. What they find between rows is garbage
// that is not stored. On small images this costs less than unfilled vectors at the ends of rows.

// ---- copying a band into scratch ---------------------------------------------------------------

// Copies rows [0, rows) of n elements, `stride` apart in memory. What is beyond the end of a row in
// its last vector becomes zero, before the next row is written. The same of the next band, `ahead`
// in memory, is fetched into the cache while this one is worked on.
template <class T, class A>
inline void copy_rows(const T* in, int64_t in_row, int64_t stride, A* out, int64_t out_row,
                      int64_t rows, int64_t n, int64_t ahead) {
  constexpr int64_t kStep = kLanes<A>;
  for (int64_t i = 0; i < rows; ++i, in += in_row, out += out_row) {
    int64_t col = 0;
    if (stride == 1) {
      for (; col + kStep <= n; col += kStep) {
        __builtin_prefetch(in + col + ahead);
        store(out + col, load(in + col));
      }
      if (col < n) store(out + col, load_first(in + col, n - col));
    } else {
      for (; col < n; ++col) out[col] = widen(in[col * stride]);
      for (; col % kStep != 0; ++col) out[col] = 0;
    }
  }
}

// Copies rows of contiguous elements to two places: the even ones and the odd ones.
template <class T, class A>
inline void split_rows(const T* in, int64_t in_row, int64_t width, A* even, int64_t n_even, A* odd,
                       int64_t n_odd, int64_t out_row, int64_t rows, int64_t ahead) {
  constexpr int64_t kStep = kLanes<A>;
  for (int64_t i = 0; i < rows; ++i, in += in_row, even += out_row, odd += out_row) {
    for (int64_t col = 0; col < n_even || col < n_odd; col += kStep) {
      const T* pairs = in + 2 * col;
      const int64_t left = width - 2 * col;
      __builtin_prefetch(pairs + ahead);
      __builtin_prefetch(pairs + ahead + kStep);
      const Vec<A> a = load_lanes(pairs, left);
      const Vec<A> b = left > kStep ? load_lanes(pairs + kStep, left - kStep) : Vec<A>{};
      if (col < n_even) store_lanes(even + col, every_second<0, A>(a, b), n_even - col);
      if (col < n_odd) store_lanes(odd + col, every_second<1, A>(a, b), n_odd - col);
    }
  }
}

// The positions low + phase + i · step, i in [0, size), that are inside the image.
inline Inside inside_phase(const DepthwiseLine& line, int64_t low, int64_t size) {
  const int64_t first = clamp(ceil_quotient(-low, line.step), 0, size);
  const int64_t last = clamp(floor_quotient(line.source - 1 - low, line.step) + 1, 0, size);
  return {first < last ? first : last, last};
}

// The part of a plane that a band reads, the band's first results being at row u of their phase.
// The columns beside the image must be zero already.
template <class T, class A>
inline void copy_band(const T* plane, int64_t stride_h, int64_t stride_w, const DepthwiseLine& h,
                      const DepthwiseLine& w, const DepthwiseBands& b, int64_t u, int64_t ahead,
                      A* out) {
  for (int64_t phase_h = 0; phase_h < h.step; ++phase_h) {
    const int64_t top = u * h.step + h.least_shift() + phase_h;
    const Inside rows = inside_phase(h, top, b.phase_rows);
    if (w.step == 2 && stride_w == 1) {  // forward only, so that the first shift is -pad_left
      const int64_t pad = -w.least_shift(), area = b.phase_rows * b.pitch;
      const int64_t row = rows.first * b.pitch, even = pad / 2, odd = (pad + 1) / 2;
      fill_zero(out, 1, row);
      fill_zero(out + area, 1, row);
      if (rows.first < rows.last) {
        split_rows(plane + (top + rows.first * h.step) * stride_h, h.step * stride_h, w.source,
                   out + pad % 2 * area + row + even,
                   clamp(ceil_div<int64_t>(w.source, 2), 0, b.pitch - even),
                   out + (pad + 1) % 2 * area + row + odd, clamp(w.source / 2, 0, b.pitch - odd),
                   b.pitch, rows.last - rows.first, ahead);
      }
      const int64_t below = rows.last * b.pitch;
      fill_zero(out + below, 1, area - below);
      fill_zero(out + area + below, 1, area - below);
      out += 2 * area;
      continue;
    }
    for (int64_t phase_w = 0; phase_w < w.step; ++phase_w, out += b.phase_rows * b.pitch) {
      const int64_t left = w.least_shift() + phase_w;
      const Inside columns = inside_phase(w, left, b.pitch);
      fill_zero(out, 1, rows.first * b.pitch);
      if (columns.first < columns.last) {
        copy_rows(plane + (top + rows.first * h.step) * stride_h +
                      (left + columns.first * w.step) * stride_w,
                  h.step * stride_h, w.step * stride_w, out + rows.first * b.pitch + columns.first,
                  b.pitch, rows.last - rows.first, columns.last - columns.first, ahead);
      }
      fill_zero(out + rows.last * b.pitch, 1, (b.phase_rows - rows.last) * b.pitch);
    }
  }
}

// ---- taps --------------------------------------------------------------------------------------

// A tap, the results that meet it, and where it finds its flat array in the copy of a band.
template <class A>
struct PlaneTap {
  int64_t phase, offset, index;  // index: in the weights of a channel
  A weight;
};

// Every tap meets one phase; the list is in order of phases.
template <class A>
inline void list_plane_taps(const DepthwiseLine& h, const DepthwiseLine& w, const DepthwiseBands& b,
                            int64_t weight_h, int64_t weight_w, PlaneTap<A>* taps) {
  int64_t count = 0;
  for (int64_t i = 0; i < h.taps; ++i) {
    for (int64_t j = 0; j < w.taps; ++j) {
      const int64_t row = h.shift(i) - h.least_shift(), col = w.shift(j) - w.least_shift();
      const int64_t plane = row % h.step * w.step + col % w.step;
      PlaneTap<A> tap = {h.phase(i) * w.phases + w.phase(j),
                         (plane * b.phase_rows + row / h.step) * b.pitch + col / w.step,
                         i * weight_h + j * weight_w, A(0)};
      int64_t at = count++;
      for (; at > 0 && taps[at - 1].phase > tap.phase; --at) taps[at] = taps[at - 1];
      taps[at] = tap;
    }
  }
}

// ---- sums --------------------------------------------------------------------------------------

// dest[f] = Σ taps weight · source[f + offset], or added to dest, for kVecs vectors from f on
template <int kVecs, class A>
inline void correlate_vectors(const A* source, const PlaneTap<A>* taps, int64_t count, bool add,
                              A* dest) {
  Vec<A> sum[kVecs] = {};
  for (int64_t t = 0; t < count; ++t) {
    const Vec<A> weight = broadcast(taps[t].weight);
    const A* in = source + taps[t].offset;
    for (int v = 0; v < kVecs; ++v) sum[v] += weight * load(in + v * kLanes<A>);
  }
  for (int v = 0; v < kVecs; ++v) {
    A* out = dest + v * kLanes<A>;
    store(out, add ? load(out) + sum[v] : sum[v]);
  }
}

// Sums of many taps are added in blocks, for accuracy.
template <class A>
inline void correlate_flat(const A* source, const PlaneTap<A>* taps, int64_t count, bool add,
                           A* dest, int64_t n) {
  constexpr int64_t kBlock = 64, kVecs = 6;
  int64_t block = 0;
  do {
    const int64_t some = least(kBlock, count - block);
    int64_t f = 0;
    for (; f + kVecs * kLanes<A> <= n; f += kVecs * kLanes<A>) {
      correlate_vectors<kVecs>(source + f, taps + block, some, add, dest + f);
    }
    for (; f < n; f += kLanes<A>) {
      correlate_vectors<1>(source + f, taps + block, some, add, dest + f);
    }
    add = true;
  } while ((block += kBlock) < count);
}

// kRows rows of results of a dense kernel of kSize x kSize taps and step 1, straight to memory:
// what is loaded serves all rows and taps that meet it.
template <int kSize, int kRows, class A, class T>
inline void correlate_rows(const A* source, int64_t pitch, const Vec<A> (&weight)[kSize][kSize],
                           Vec<A> bias, T* out, int64_t out_row, int64_t n) {
  for (int64_t col = 0; col < n; col += kLanes<A>) {
    Vec<A> sum[kRows];
    for (int i = 0; i < kRows; ++i) sum[i] = Vec<A>{};
#pragma GCC unroll 16  // else the sums are not kept in registers
    for (int row = 0; row < kRows + kSize - 1; ++row) {
      for (int s = 0; s < kSize; ++s) {
        const Vec<A> v = load(source + row * pitch + col + s);
        for (int r = 0; r < kSize; ++r) {
          if (row >= r && row - r < kRows) sum[row - r] += weight[r][s] * v;
        }
      }
    }
    for (int i = 0; i < kRows; ++i) {
      T* at = out + i * out_row + col;
      n - col >= kLanes<A> ? store(at, sum[i] + bias) : store_first(at, sum[i] + bias, n - col);
    }
  }
}

template <int kSize, class A, class T>
inline void correlate_dense(const A* source, int64_t pitch, const PlaneTap<A>* taps, A bias, T* out,
                            int64_t out_row, int64_t rows, int64_t n) {
  Vec<A> weight[kSize][kSize];
  for (int i = 0; i < kSize * kSize;
       ++i) {  // by offset, which runs along with the index or against
    const bool reversed = taps[0].offset > taps[kSize * kSize - 1].offset;
    const int at = reversed ? kSize * kSize - 1 - i : i;
    weight[i / kSize][i % kSize] = broadcast(taps[at].weight);
  }
  const Vec<A> biases = broadcast(bias);
  for (; rows >= 4; rows -= 4, source += 4 * pitch, out += 4 * out_row) {
    correlate_rows<kSize, 4>(source, pitch, weight, biases, out, out_row, n);
  }
  if (rows == 3) correlate_rows<kSize, 3>(source, pitch, weight, biases, out, out_row, n);
  if (rows == 2) correlate_rows<kSize, 2>(source, pitch, weight, biases, out, out_row, n);
  if (rows == 1) correlate_rows<kSize, 1>(source, pitch, weight, biases, out, out_row, n);
}

// ---- storing results ---------------------------------------------------------------------------

// Stores a row of results, whose phases lie at in[phase][in_phase], with the bias added.
template <class A, class T>
inline void store_row(const A* in, int64_t in_phase, const DepthwiseLine& line, A bias, T* out,
                      int64_t stride) {
  constexpr int64_t kStep = kLanes<A>;
  const int64_t n = line.dest;
  if (line.phases > 2 || stride != 1) {
    for (int64_t phase = 0; phase < line.phases; ++phase) {
      const A* from = in + phase * in_phase;
      for (int64_t i = phase; i < n; i += line.phases) narrow(*from++ + bias, out + i * stride);
    }
    return;
  }
  for (int64_t i = 0; i < n; i += kStep) {
    Vec<A> v = broadcast(bias);
    if (line.phases == 1) {
      v += load(in + i);
    } else {
      const Vec<A> a = load(in + i / 2 / kStep * kStep),
                   b = load(in + in_phase + i / 2 / kStep * kStep);
      v += i / kStep % 2 ? in_turn<1, A>(a, b) : in_turn<0, A>(a, b);
    }
    n - i >= kStep ? store(out + i, v) : store_first(out + i, v, n - i);
  }
}

template <class T>
void correlate_planes(const DepthwiseCorrelation<T>& c, int64_t begin, int64_t end, void* scratch) {
  using Acc = Accumulator<T>;
  const DepthwiseBands b = depthwise_bands(c.h, c.w);
  const int64_t all = c.h.taps * c.w.taps;
  PlaneTap<Acc>* taps = static_cast<PlaneTap<Acc>*>(scratch);
  Acc* source = reinterpret_cast<Acc*>(taps + all);
  Acc* dest = source + b.source_size;
  list_plane_taps(c.h, c.w, b, c.weight.h, c.weight.w, taps);
  fill_zero(source, 1, b.source_size);
  const bool dense = c.h.taps == 3 && c.w.taps == 3 && c.h.is_dense() && c.w.is_dense() &&
                     c.dest.w == 1 && c.multiplier == 1;
  const int64_t sources = c.backward ? c.multiplier : 1, dests = c.backward ? 1 : c.multiplier;

  for (int64_t item = begin; item < end; ++item) {
    const int64_t band = item % b.bands, plane = item / b.bands;
    const int64_t channel = plane % c.channels, image = plane / c.channels;
    const int64_t u = band * b.rows, rows = least(b.rows, c.h.count() - u);
    const T* in = c.source.data + image * c.source.n + channel * sources * c.source.c;
    T* out = c.dest.data + image * c.dest.n + channel * dests * c.dest.c;
    int64_t first = 0;  // tap of this row phase
    for (int64_t phase_h = 0; phase_h < least(c.h.phases, c.h.dest); ++phase_h) {
      int64_t next = first;
      for (int64_t m = 0; m < c.multiplier; ++m) {
        const int64_t k = channel * c.multiplier + m;
        const T* weight = c.weight.data + k * c.weight.n;
        const Acc bias = c.bias == nullptr ? Acc(0) : widen(c.bias[k * c.bias_stride]);
        if (c.backward ? phase_h == 0 || sources > 1 : m == 0) {
          copy_band(in + (c.backward ? m * c.source.c : 0), c.source.h, c.source.w, c.h, c.w, b, u,
                    b.bands == 1 ? c.source.c : b.rows * c.h.step * c.source.h, source);
        }
        T* rows_out = out + (c.backward ? 0 : m * c.dest.c) + (phase_h + u * c.h.phases) * c.dest.h;
        next = first;
        for (int64_t phase_w = 0; phase_w < c.w.phases; ++phase_w) {
          const int64_t phase = phase_h * c.w.phases + phase_w;
          PlaneTap<Acc>* some = taps + next;
          for (; next < all && taps[next].phase == phase; ++next) {
            taps[next].weight = widen(weight[taps[next].index]);
          }
          if (dense) {
            correlate_dense<3>(source, b.pitch, some, bias, rows_out, c.dest.h, rows, c.w.count());
          } else {
            correlate_flat(source, some, taps + next - some, c.backward && m > 0,
                           dest + phase_w * b.dest_phase, (rows - 1) * b.pitch + c.w.count());
          }
        }
        if (dense || (c.backward && m + 1 < c.multiplier)) continue;
        for (int64_t i = 0; i < rows && phase_h + (u + i) * c.h.phases < c.h.dest; ++i) {
          store_row(dest + i * b.pitch, b.dest_phase, c.w, bias,
                    rows_out + i * c.h.phases * c.dest.h, c.dest.w);
        }
      }
      first = next;
    }
  }
}
