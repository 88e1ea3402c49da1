// The weight gradient of a depthwise convolution: for each tap, the products of grad_out and the
// input that this tap saw, summed over pixels and batch. As in channel_sum.h, sums are made of
// blocks of at most kTileDepth terms and spans of 16 blocks, in every lane; the lanes are added
// last. Chunks of the sum are fixed by the shape.

// Stores the gradients of one output channel, or its part of one chunk, from value[tap · stride].
template <class T>
inline void put_gradients(const Conv2dBackwardWeightArgs<T>& args, int64_t chunk, int64_t channel,
                          const Accumulator<T>* value, int64_t stride) {
  const Conv2dShape& s = args.conv.shape;
  const View4<T>& w = args.conv.weight;
  const int64_t taps = s.kernel_h * s.kernel_w;
  if (args.partial != nullptr) {
    Accumulator<T>* partial = args.partial + (chunk * s.out_channels + channel) * taps;
    for (int64_t t = 0; t < taps; ++t) partial[t] = value[t * stride];
    return;
  }
  for (int64_t i = 0; i < s.kernel_h; ++i) {
    for (int64_t j = 0; j < s.kernel_w; ++j, value += stride) {
      narrow(*value, w.data + channel * w.n + i * w.h + j * w.w);
    }
  }
}

// ---- lanes along the pixels of a plane; along channels: depthwise_weight_channels.h -------------

// A rectangle of grad_out, of contiguous rows, and the copy of x where the first tap sees it.
template <class G, class A>
struct GradientRows {
  const G* grad;
  const A* x;
  int64_t grad_pitch, x_pitch;
  int64_t rows, columns;
};

template <class A>
inline Vec<Bits<A>> first_lanes_mask(int64_t n) {
  Bits<A> number[kLanes<A>];
  for (int i = 0; i < kLanes<A>; ++i) number[i] = i;
  return load(number) < broadcast<Bits<A>>(Bits<A>(n));
}

// block[r][s] += grad[r] · x[s] for r in [kFirst, kLast]: grad[r] is r rows above the newest, and
// x[s] the input that it saw with tap (r, s). Outside of the mask x is not multiplied.
template <int kFirst, int kLast, int kSize, class A>
inline void add_outer(const A* x, Vec<Bits<A>> mask, const Vec<A> (&grad)[kSize],
                      Vec<A> (&block)[kSize][kSize]) {
#pragma GCC unroll 8
  for (int s = 0; s < kSize; ++s) {
    const Vec<A> v = (Vec<A>)((Vec<Bits<A>>)load(x + s) & mask);
#pragma GCC unroll 8
    for (int r = kFirst; r <= kLast; ++r) block[r][s] += grad[r] * v;
  }
}

// The same as add_products for a dense 3 x 3 kernel and two rows or more: rows of grad_out stay in
// registers while they meet three rows of x.
template <class G, class A>
inline void add_dense_products(const GradientRows<G, A>& r, A* sum) {
  Vec<A> block[3][3] = {};
  for (int64_t col = 0; col < r.columns; col += kLanes<A>) {
    const Vec<Bits<A>> mask = first_lanes_mask<A>(r.columns - col);
    const int64_t lanes = r.columns - col;
    const G* g = r.grad + col;
    const A* x = r.x + col;
    Vec<A> grad[3];
    grad[0] = load_lanes(g, lanes);
    add_outer<0, 0>(x, mask, grad, block);
    grad[1] = grad[0];
    grad[0] = load_lanes(g += r.grad_pitch, lanes);
    add_outer<0, 1>(x += r.x_pitch, mask, grad, block);
    for (int64_t row = 2; row < r.rows; ++row) {
      grad[2] = grad[1];
      grad[1] = grad[0];
      grad[0] = load_lanes(g += r.grad_pitch, lanes);
      add_outer<0, 2>(x += r.x_pitch, mask, grad, block);
    }
    grad[2] = grad[1];
    grad[1] = grad[0];
    add_outer<1, 2>(x += r.x_pitch, mask, grad, block);
    grad[2] = grad[1];
    add_outer<2, 2>(x += r.x_pitch, mask, grad, block);
  }
  for (int i = 0; i < 9; ++i, sum += kLanes<A>) store(sum, load(sum) + block[i / 3][i % 3]);
}

// sum[tap] += Σ grad · x for kTaps taps. x beyond the last column is not multiplied, even by zero.
template <int kTaps, class G, class A>
inline void add_products(const GradientRows<G, A>& r, const PlaneTap<A>* tap, A* sum) {
  const int64_t whole = r.columns / kLanes<A> * kLanes<A>;
  const Vec<Bits<A>> tail = first_lanes_mask<A>(r.columns - whole);
  Vec<A> block[kTaps] = {};
  for (int64_t row = 0; row < r.rows; ++row) {
    const G* grad = r.grad + row * r.grad_pitch;
    const A* x = r.x + row * r.x_pitch;
    int64_t col = 0;
    for (; col < whole; col += kLanes<A>) {
      const Vec<A> g = load(grad + col);
      for (int t = 0; t < kTaps; ++t) block[t] += g * load(x + tap[t].offset + col);
    }
    if (col < r.columns) {
      const Vec<A> g = load_first(grad + col, r.columns - col);
      for (int t = 0; t < kTaps; ++t) {
        block[t] += g * (Vec<A>)((Vec<Bits<A>>)load(x + tap[t].offset + col) & tail);
      }
    }
  }
  for (int t = 0; t < kTaps; ++t, sum += kLanes<A>) store(sum, load(sum) + block[t]);
}

template <class G, class A>
inline void add_all_products(const GradientRows<G, A>& r, const PlaneTap<A>* tap, int64_t taps,
                             A* sum) {
  int64_t t = 0;
  for (; t + 9 <= taps; t += 9) add_products<9>(r, tap + t, sum + t * kLanes<A>);
  for (; t + 5 <= taps; t += 5) add_products<5>(r, tap + t, sum + t * kLanes<A>);
  for (; t < taps; ++t) add_products<1>(r, tap + t, sum + t * kLanes<A>);
}

// The same in blocks of at most kTileDepth vectors for each tap.
template <class G, class A>
inline int64_t add_blocks(const GradientRows<G, A>& r, const PlaneTap<A>* tap, int64_t taps,
                          bool dense, A* sum) {
  const int64_t most = kTileDepth * kLanes<A>;
  int64_t blocks = 0;
  for (int64_t col = 0; col < r.columns; col += most) {
    const int64_t columns = least(most, r.columns - col);
    const int64_t step = kTileDepth / ceil_div<int64_t>(columns, kLanes<A>);
    for (int64_t row = 0; row < r.rows; row += step, ++blocks) {
      const GradientRows<G, A> part = {r.grad + row * r.grad_pitch + col,
                                       r.x + row * r.x_pitch + col,
                                       r.grad_pitch,
                                       r.x_pitch,
                                       least(step, r.rows - row),
                                       columns};
      if (dense && part.rows > 1) {
        add_dense_products(part, sum);
      } else {
        add_all_products(part, tap, taps, sum);
      }
    }
  }
  return blocks;
}

template <class A>
inline void move_sums(A* from, A* to, int64_t n) {
  for (int64_t i = 0; i < n; i += kLanes<A>) {
    store(to + i, load(to + i) + load(from + i));
    store(from + i, Vec<A>{});
  }
}

// lanes[0] = Σ lanes
template <class A>
inline void add_lanes(A* lanes) {
#pragma GCC unroll 8
  for (int n = kLanes<A> / 2; n > 0; n /= 2) {
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) lanes[i] += lanes[i + n];
  }
}

template <class T>
inline void weight_gradient_planes(const Conv2dBackwardWeightArgs<T>& args, int64_t begin,
                                   int64_t end, void* scratch) {
  using Acc = Accumulator<T>;
  const Conv2dArgs<const T, T, const T>& conv = args.conv;
  const Conv2dShape& s = conv.shape;
  const DepthwiseLine h = forward_rows(s), w = forward_columns(s);
  const DepthwiseBands b = depthwise_bands(h, w);
  const int64_t taps = s.kernel_h * s.kernel_w, grad_pitch = round_up(s.out_w, kDepthwiseRounding);
  PlaneTap<Acc>* tap = static_cast<PlaneTap<Acc>*>(scratch);
  Acc* x = reinterpret_cast<Acc*>(tap + taps);
  Acc* grad = x + b.source_size;
  const int64_t size = taps * kLanes<Acc>;
  Acc* total = grad + b.rows * grad_pitch;  // [tap][lane]
  Acc* span = total + size;
  const bool dense = s.kernel_h == 3 && s.kernel_w == 3 && h.is_dense() && w.is_dense();
  list_plane_taps(h, w, b, 0, 0, tap);
  fill_zero(x, 1, b.source_size);
  const int64_t units = s.batch * b.bands, chunk_size = ceil_div(units, args.chunks);
  for (int64_t item = begin; item < end; ++item) {
    const int64_t chunk = item % args.chunks, channel = item / args.chunks;
    const T* plane = conv.x.data + channel / s.group_out_channels() * conv.x.c;
    int64_t blocks = 0;
    fill_zero(total, 1, 2 * size);
    const int64_t last = least((chunk + 1) * chunk_size, units);
    for (int64_t unit = chunk * chunk_size; unit < last; ++unit) {
      const int64_t image = unit / b.bands, u = unit % b.bands * b.rows;
      const int64_t rows = least(b.rows, s.out_h - u);
      copy_band(plane + image * conv.x.n, conv.x.h, conv.x.w, h, w, b, u,
                b.bands == 1 ? conv.x.c : b.rows * h.step * conv.x.h, x);
      const int64_t row = image * s.out_h + u,
                    end = (last - 1) / b.bands * s.out_h +
                          least(((last - 1) % b.bands + 1) * b.rows, s.out_h);
      const View4<const T> out = args.grad_out(row, row + rows, end, channel, 1);
      const T* g = out.data + image * out.n + channel * out.c + u * out.h;
      if (out.w == 1) {
        const GradientRows<T, Acc> r = {g, x, out.h, b.pitch, rows, s.out_w};
        blocks += add_blocks(r, tap, taps, dense, span);
      } else {
        copy_rows(g, out.h, out.w, grad, grad_pitch, rows, s.out_w, 0);
        const GradientRows<Acc, Acc> r = {grad, x, grad_pitch, b.pitch, rows, s.out_w};
        blocks += add_blocks(r, tap, taps, dense, span);
      }
      if (blocks >= kSpan / kTileDepth) {
        move_sums(span, total, size);
        blocks = 0;
      }
    }
    move_sums(span, total, size);
    for (int64_t t = 0; t < taps; ++t) add_lanes(total + t * kLanes<Acc>);
    put_gradients(args, chunk, channel, total, kLanes<Acc>);
  }
}
