// Gradients of weights: by the algorithm of their plan, and what follows where sums were cut into
// chunks.

template <class T>
void conv2d_backward_weight(const Conv2dBackwardWeightArgs<T>& args, const Conv2dWeightPlan& plan,
                            int64_t begin, int64_t end, void* scratch) {
  switch (plan.algorithm) {
    case Conv2dAlgorithm::kGrouped:
      return grouped_backward_weight(args, plan, begin, end, scratch);
    case Conv2dAlgorithm::kWinograd2:
      if (args.conv.shape.kernel_h == 5) {
        return sum_tiles<WinogradWeightGradient<T, 2, 5>>(args, plan, begin, end, scratch);
      }
      return sum_tiles<WinogradWeightGradient<T, 2, 3>>(args, plan, begin, end, scratch);
    case Conv2dAlgorithm::kWinograd4:
      return sum_tiles<WinogradWeightGradient<T, 4, 3>>(args, plan, begin, end, scratch);
    default:
      return sum_tiles<WeightGradient<T>>(args, plan, begin, end, scratch);
  }
}

// grad_weight = Σ partial[chunk], in order of the chunks, for some output channels. All lie dense.
template <class T>
void conv2d_add_chunks(const Conv2dBackwardWeightArgs<T>& args, int64_t begin, int64_t end) {
  using Acc = Accumulator<T>;
  const View4<T>& weight = args.conv.weight;
  const int64_t size = args.conv.shape.out_channels * weight.n, last = end * weight.n;
  for (int64_t i = begin * weight.n; i < last; i += kLanes<Acc>) {
    Vec<Acc> sum{};
    for (int64_t chunk = 0; chunk < args.chunks; ++chunk) {
      sum += load_lanes(args.partial + chunk * size + i, last - i);
    }
    store_lanes(weight.data + i, sum, last - i);
  }
}
