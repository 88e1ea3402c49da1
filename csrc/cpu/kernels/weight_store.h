// The way out of sums that are gradients of weights: to the gradient, or to a partial one
// (conv2d_chunks.h).

// The part of the gradient from an output channel of any group, input channel and tap on.
template <class T>
View4<T> gradient_at(const Conv2dBackwardWeightArgs<T>& args, int64_t out_channel, int64_t channel,
                     int64_t row, int64_t col) {
  const View4<T>& w = args.conv.weight;
  return {w.data + out_channel * w.n + channel * w.c + row * w.h + col * w.w, w.n, w.c, w.h, w.w};
}
// The same of a partial one, whose elements lie as those of the gradient.
template <class T>
View4<Accumulator<T>> partial_at(const Conv2dBackwardWeightArgs<T>& args, int64_t chunk,
                                 int64_t out_channel, int64_t channel, int64_t row, int64_t col) {
  const View4<T>& w = args.conv.weight;
  return {args.partial + chunk * args.conv.shape.out_channels * w.n + out_channel * w.n +
              channel * w.c + row * w.h + col * w.w,
          w.n, w.c, w.h, w.w};
}

// out[k, c, taps] from result[tap][k][c]; `tap_size` elements from tap to tap, `row` from k to k.
template <class O, class Acc>
void store_taps(const View4<O>& out, int64_t kernel_h, int64_t kernel_w, int64_t out_channels,
                int64_t channels, const Acc* result, int64_t tap_size, int64_t row) {
  const int64_t taps = kernel_h * kernel_w;
  if (out.w == 1 && out.h == kernel_w && taps > 1) {  // taps follow each other
    for (int64_t k = 0; k < out_channels; ++k) {
      copy_block(result + k * row, tap_size, 1, taps, channels, out.data + k * out.n, 1, out.c);
    }
    return;
  }
  for (int64_t t = 0; t < taps; ++t) {
    copy_block(result + t * tap_size, row, 1, out_channels, channels,
               out.data + t / kernel_w * out.h + t % kernel_w * out.w, out.n, out.c);
  }
}

// The same from result[c][tap][k], `row` elements from tap to tap.
template <class O, class Acc>
void store_taps_by_channel(const View4<O>& out, int64_t kernel_h, int64_t kernel_w,
                           int64_t out_channels, int64_t channels, const Acc* result, int64_t row) {
  const int64_t taps = kernel_h * kernel_w;
  if (out.w == 1 && out.h == kernel_w && out.c == taps && taps > 1) {
    return copy_block(result, row, 1, channels * taps, out_channels, out.data, 1, out.n);
  }
  for (int64_t t = 0; t < taps; ++t) {
    copy_block(result + t * row, taps * row, 1, channels, out_channels,
               out.data + t / kernel_w * out.h + t % kernel_w * out.w, out.c, out.n);
  }
}
