// The last step of weight gradients whose sums were cut into chunks.

// grad_weight[out_channel] = Σ partial[chunk, out_channel], in order of the chunks
template <class T>
void conv2d_add_chunks(const Conv2dBackwardWeightArgs<T>& args, int64_t begin, int64_t end) {
  using Acc = Accumulator<T>;
  const Conv2dShape& s = args.conv.shape;
  const View4<T>& weight = args.conv.weight;
  const int64_t channels = s.group_in_channels(), taps = channels * s.kernel_h * s.kernel_w;
  for (int64_t channel = begin; channel < end; ++channel) {
    const Acc* first = args.partial + channel * taps;
    T* out = weight.data + channel * weight.n;
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t h = 0; h < s.kernel_h; ++h) {
        for (int64_t w = 0; w < s.kernel_w; ++w, ++first) {
          Acc sum = 0;
          for (int64_t chunk = 0; chunk < args.chunks; ++chunk) {
            sum += first[chunk * s.out_channels * taps];
          }
          narrow(sum, out + c * weight.c + h * weight.h + w * weight.w);
        }
      }
    }
  }
}
