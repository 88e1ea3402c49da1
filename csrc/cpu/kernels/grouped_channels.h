// The same where channels follow each other in memory and a vector of them is whole groups: groups
// side by side in the lanes, as in the tensors, so that nothing is transposed. Every input channel
// of a group is multiplied after it has been spread over the lanes of its group.

// v[index[lane]]
template <class P>
inline Vec<P> permute(Vec<P> v, Vec<Bits<P>> index) {
#ifdef __clang__  // has no shuffle whose indices are a vector
  Vec<P> out;
  for (int i = 0; i < kLanes<P>; ++i) out[i] = v[index[i]];
  return out;
#else
  return __builtin_shuffle(v, index);
#endif
}

template <class P>
struct LaneTaps {
  int64_t channels, runs;  // of a group; of taps that read places next to each other
  const int64_t* at;       // [run]: where the first pixel meets its first tap
  int64_t step;            // from there to the next pixel or the next tap
  const P* weights;        // [channel][run][tap of the run][lane]
  const Bits<P>* index;    // [channel][lane]: the lane that holds the channel of the group
  const P* bias;           // [lane]
};

// out[pixel][lane] for kPixels pixels. What is spread serves all taps of a run.
template <class T, class P, int kRun, int kPixels>
[[gnu::noinline]] void multiply_lanes(const LaneTaps<P>& taps, const P* x, T* out,
                                      int64_t out_step) {
  constexpr int kLane = kLanes<P>;
  Vec<P> sums[kPixels] = {};
  const P* weights = taps.weights;
  for (int64_t channel = 0; channel < taps.channels; ++channel) {
    const Vec<Bits<P>> index = load(taps.index + channel * kLane);
    for (int64_t run = 0; run < taps.runs; ++run) {
      Vec<P> w[kRun];
#pragma GCC unroll 3
      for (int j = 0; j < kRun; ++j) w[j] = load(weights + j * kLane);
      weights += kRun * kLane;
      const P* from = x + taps.at[run];
#pragma GCC unroll 16
      for (int q = 0; q < kPixels + kRun - 1; ++q) {
        const Vec<P> spread = permute<P>(load(from), index);
        from += taps.step;
#pragma GCC unroll 3
        for (int j = 0; j < kRun; ++j) {
          if (q >= j && q - j < kPixels) sums[q - j] += spread * w[j];
        }
      }
    }
  }
  const Vec<P> bias = load(taps.bias);
#pragma GCC unroll 16
  for (int p = 0; p < kPixels; ++p) store(out + p * out_step, sums[p] + bias);
}

template <class T, class P>
using MultiplyLanes = void (*)(const LaneTaps<P>&, const P*, T*, int64_t);

template <class T, class P, int kRun, int kPixels = kGemmRows>
inline MultiplyLanes<T, P> lanes_kernel(int64_t pixels) {
  if constexpr (kPixels > 1) {
    if (pixels < kPixels) return lanes_kernel<T, P, kRun, kPixels - 1>(pixels);
  }
  return multiply_lanes<T, P, kRun, kPixels>;
}

template <class T>
struct GroupedChannels : Correlator<T, Accumulator<T>> {
  using P = Accumulator<T>;
  static constexpr int64_t kLane = kLanes<P>, kMostStride = 3;

  GroupedChannels(const Conv2dPlan& plan, void* memory)
      : Correlator<T, Accumulator<T>>(plan, memory) {}

  // Bit patterns of lanes, packed with the weights, in the memory of a table that is not needed.
  Bits<P>* index() const {
    static_assert(kLane * kLane * sizeof(P) <= kTileDepth * sizeof(int64_t));
    return reinterpret_cast<Bits<P>*>(this->col_table);
  }

  void pack(const CorrelationArgs<T>& args) const {
    const Correlation& c = args.sizes;
    P* to = this->weights;
    Bits<P>* at = index();
    for (int64_t channel = 0; channel < c.channels; ++channel) {
      for (int64_t lane = 0; lane < kLane; ++lane) *at++ = lane - lane % c.channels + channel;
      for (int64_t h = 0; h < c.h.count; ++h) {
        for (int64_t w = 0; w < c.w.count; ++w) {
          const T* from = args.weight + channel * args.weight_in +
                          (c.h.weight + h * c.h.weight_step) * args.weight_h +
                          (c.w.weight + w * c.w.weight_step) * args.weight_w;
          for (int64_t lane = 0; lane < kLane; ++lane) {
            copy_element(
                from[lane / c.channels * args.weight_group + lane % c.channels * args.weight_out],
                to++);
          }
        }
      }
    }
  }

  // Where the next strip of the same tile begins, or the first one of the next tile.
  const T* next_strip(const CorrelationArgs<T>& args, int64_t tile, int64_t strip) const {
    const bool more = strip + 1 < this->plan.strips;
    const Portion p = portion_at(args.sizes, this->plan, tile, more ? strip + 1 : 0);
    return args.source.data + p.image * args.source.n + (more ? 0 : kLane) * args.source.c +
           p.row * args.sizes.h.stride * args.source.h;
  }

  // A strip's pixels are so far apart that the CPU does not foresee the next one's, so the part
  // that lies where these outputs are is fetched while they are computed. Harmless beyond a tensor.
  void fetch_ahead(const CorrelationArgs<T>& args, const T* next, int64_t row, int64_t col,
                   int64_t cols) const {
    const Correlation& c = args.sizes;
    if (c.h.stride > kMostStride || c.w.stride > kMostStride) return;  // little of it is used
    for (int64_t y = 0; y < c.h.stride; ++y) {
      const T* from = next + (row * c.h.stride + y) * args.source.h;
      for (int64_t x = col * c.w.stride; x < (col + cols) * c.w.stride; ++x) {
        __builtin_prefetch(from + x * args.source.w, 0, 2);
      }
    }
  }

  // Rows of pixels by the kernel for runs of kRun taps. Where taps go backwards, so do pixels.
  template <int kRun>
  void multiply_rows(const CorrelationArgs<T>& args, const Portion& p, const T* next,
                     const StripLayout& layout, T* out, int64_t step, const P* bias) const {
    const Correlation& c = args.sizes;
    const int64_t runs = c.taps() / kRun;
    for (int64_t run = 0; run < runs; ++run) {
      const int64_t tap = run * kRun;
      this->row_table[run] = layout.offset(tap / c.w.count, tap % c.w.count) * kLane;
    }
    const LaneTaps<P> taps{c.channels, runs, this->row_table, step * kLane, this->weights,
                           index(),    bias};
    const int64_t most = panel_rows(p.cols);
    for (int64_t y = 0; y < p.rows; ++y) {
      for (int64_t x = 0; x < p.cols; x += most) {
        const int64_t pixels = least(most, p.cols - x), first = step < 0 ? x + pixels - 1 : x;
        fetch_ahead(args, next, y, x, pixels);
        lanes_kernel<T, P, kRun>(pixels)(taps, this->source + (y * layout.pitch + first) * kLane,
                                         out + y * args.out.h + first * args.out.w,
                                         step * args.out.w);
      }
    }
  }

  void run(const CorrelationArgs<T>& args, int64_t number, int64_t tile, int64_t strip) {
    const Correlation& c = args.sizes;
    const Portion p = portion_at(c, this->plan, tile, strip);
    if (p.images <= 0 || p.rows <= 0 || p.cols <= 0) return;
    if (*this->packed != number) pack(args);
    *this->packed = number;
    fill_zero(this->bias, 1, kLane);
    start_with_bias(args.bias, args.bias_stride, false, kLane, this->bias);
    const StripLayout layout(c, p.row, p.rows, p.col, p.cols, true);
    const T* next = next_strip(args, tile, strip);
    const int64_t last = c.w.count - 1, step = layout.offset(0, last > 0) - layout.offset(0, 0);
    const bool neighbours =
        (step == 1 || step == -1) && layout.offset(0, last) - layout.offset(0, 0) == last * step;
    for (int64_t image = 0; image < p.images; ++image) {
      layout.fill_lanes(this->source_of(args, p.image + image), 0, kLane, kLane, this->source);
      T* out = this->out_at(args, p) + image * args.out.n;
      if (neighbours && c.w.count == 3) {
        multiply_rows<3>(args, p, next, layout, out, step, this->bias);
      } else if (neighbours && c.w.count == 2) {
        multiply_rows<2>(args, p, next, layout, out, step, this->bias);
      } else {
        multiply_rows<1>(args, p, next, layout, out, 1, this->bias);
      }
    }
  }
};
