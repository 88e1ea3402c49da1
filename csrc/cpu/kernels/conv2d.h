// conv2d and its gradients as matrix products over patches.h.

// out[image, group] = weight[out_channels, taps] · patches[taps, pixels] + bias
template <class T>
void conv2d(const Conv2dForwardArgs<T>& args, int64_t begin, int64_t end, void* scratch) {
  const Conv2dShape& s = args.shape;
  const int64_t in_channels = s.group_in_channels(), out_channels = s.group_out_channels();
  const int64_t pixels = s.out_h * s.out_w, taps = in_channels * s.kernel_h * s.kernel_w;
  const bool channels_last = pixels_are_rows(args);
  const int64_t tiles =
      channels_last ? tile_count(pixels, out_channels) : tile_count(out_channels, pixels);
  const Axis out_channel = axis(args.out.c),
             out_pixel = axis(s.out_h, args.out.h, s.out_w, args.out.w);

  for (int64_t item = begin; item < end; ++item) {
    const int64_t tile = item % tiles, group = item / tiles % s.groups,
                  image = item / tiles / s.groups;
    const int64_t channel = group * out_channels;
    const StridedOperand<T> weight{
        args.weight.data + channel * args.weight.n, axis(args.weight.n),
        axis(args.weight.c, s.kernel_h, args.weight.h, s.kernel_w, args.weight.w)};
    const PatchesByPixel<T> patches{
        s, args.x, args.x.data + image * args.x.n + group * in_channels * args.x.c};
    T* out = args.out.data + image * args.out.n + channel * args.out.c;
    const T* bias = args.bias == nullptr ? nullptr : args.bias + channel * args.bias_stride;
    if (channels_last) {
      const StridedStore<T> store{out, out_pixel, out_channel, nullptr, bias, args.bias_stride};
      gemm_tile_at<T>(tile, pixels, out_channels, patches, weight, store, 0, taps, scratch);
    } else {
      const StridedStore<T> store{out, out_channel, out_pixel, bias, nullptr, args.bias_stride};
      gemm_tile_at<T>(tile, out_channels, pixels, weight, patches, store, 0, taps, scratch);
    }
  }
}

// grad_x[image, group] = weight[in_channels, taps] · gradient patches[taps, pixels], where a tap is
// (out_channel, kernel_h, kernel_w)
template <class T>
void conv2d_backward_input(const Conv2dBackwardInputArgs<T>& args, int64_t begin, int64_t end,
                           void* scratch) {
  const Conv2dShape& s = args.shape;
  const int64_t in_channels = s.group_in_channels(), out_channels = s.group_out_channels();
  const int64_t pixels = s.in_h * s.in_w, taps = out_channels * s.kernel_h * s.kernel_w;
  const int64_t tiles = tile_count(in_channels, pixels);

  for (int64_t item = begin; item < end; ++item) {
    const int64_t tile = item % tiles, group = item / tiles % s.groups,
                  image = item / tiles / s.groups;
    const int64_t channel = group * out_channels;
    const StridedOperand<T> weight{
        args.weight.data + channel * args.weight.n, axis(args.weight.c),
        axis(args.weight.n, s.kernel_h, args.weight.h, s.kernel_w, args.weight.w)};
    const GradientPatches<T> patches{s, args.out,
                                     args.out.data + image * args.out.n + channel * args.out.c};
    const StridedStore<T> store{args.x.data + image * args.x.n + group * in_channels * args.x.c,
                                axis(args.x.c),
                                axis(s.in_h, args.x.h, s.in_w, args.x.w),
                                nullptr,
                                nullptr,
                                0};
    gemm_tile_at<T>(tile, in_channels, pixels, weight, patches, store, 0, taps, scratch);
  }
}

// grad_weight[group] = grad_out[out_channels, pixels] · patches[pixels, taps], over a chunk of the
// batch's pixels
template <class T>
void conv2d_backward_weight(const Conv2dBackwardWeightArgs<T>& args, int64_t begin, int64_t end,
                            void* scratch) {
  using Acc = Accumulator<T>;
  const Conv2dArgs<const T, T, const T>& conv = args.conv;
  const Conv2dShape& s = conv.shape;
  const int64_t in_channels = s.group_in_channels(), out_channels = s.group_out_channels();
  const int64_t taps = in_channels * s.kernel_h * s.kernel_w;
  const int64_t pixels = s.batch * s.out_h * s.out_w;
  const int64_t chunk_size = ceil_div(pixels, args.chunks);
  const int64_t tiles = tile_count(out_channels, taps);

  for (int64_t item = begin; item < end; ++item) {
    const int64_t tile = item % tiles, chunk = item / tiles % args.chunks;
    const int64_t group = item / tiles / args.chunks, channel = group * out_channels;
    const int64_t k = least(chunk * chunk_size, pixels), k_end = least(k + chunk_size, pixels);
    const StridedOperand<T> grad_out{conv.out.data + channel * conv.out.c, axis(conv.out.c),
                                     axis(conv.out.n, s.out_h, conv.out.h, s.out_w, conv.out.w)};
    const PatchesByTap<T> patches{s, conv.x, conv.x.data + group * in_channels * conv.x.c};
    if (args.partial == nullptr) {
      const StridedStore<T> store{
          conv.weight.data + channel * conv.weight.n,
          axis(conv.weight.n),
          axis(conv.weight.c, s.kernel_h, conv.weight.h, s.kernel_w, conv.weight.w),
          nullptr,
          nullptr,
          0};
      gemm_tile_at<T>(tile, out_channels, taps, grad_out, patches, store, k, k_end, scratch);
    } else {
      Acc* partial = args.partial + (chunk * s.out_channels + channel) * taps;
      const StridedStore<Acc> store{partial, axis(taps), axis(1), nullptr, nullptr, 0};
      gemm_tile_at<T>(tile, out_channels, taps, grad_out, patches, store, k, k_end, scratch);
    }
  }
}

// grad_weight[out_channel] = Σ partial[chunk, out_channel], in order of the chunks
template <class T>
void conv2d_add_chunks(const Conv2dBackwardWeightArgs<T>& args, int64_t begin, int64_t end) {
  using Acc = Accumulator<T>;
  const Conv2dShape& s = args.conv.shape;
  const View4<T>& weight = args.conv.weight;
  const Axis tap = axis(weight.c, s.kernel_h, weight.h, s.kernel_w, weight.w);
  const int64_t taps = s.group_in_channels() * s.kernel_h * s.kernel_w;
  for (int64_t channel = begin; channel < end; ++channel) {
    for (int64_t i = 0; i < taps; ++i) {
      Acc sum = 0;
      for (int64_t chunk = 0; chunk < args.chunks; ++chunk) {
        sum += args.partial[(chunk * s.out_channels + channel) * taps + i];
      }
      narrow(sum, weight.data + channel * weight.n + tap.offset(i));
    }
  }
}
