// The forward convolution and the gradient of its input, as such sums.

// Items are (groups, tile of channels, run of strips); those that share weights follow each other.
struct CorrelationItem {
  int64_t group, groups, tile, first, last;

  CorrelationItem(const Conv2dPlan& plan, int64_t all_groups, int64_t item) {
    const int64_t runs = ceil_div(plan.strips, plan.run);
    first = item % runs * plan.run;
    last = least(first + plan.run, plan.strips);
    tile = item / runs % plan.tiles;
    group = item / runs / plan.tiles * plan.groups;
    groups = least(plan.groups, all_groups - group);
  }
};

template <class Correlate, class T>
void correlate_forward(const Conv2dForwardArgs<T>& args, const Conv2dPlan& plan, int64_t begin,
                       int64_t end, void* scratch) {
  const Conv2dShape& s = args.shape;
  CorrelationArgs<T> one{forward_correlation(s), args.x,        args.weight.data, args.weight.n,
                         args.weight.c,          args.weight.h, args.weight.w,    args.bias,
                         args.bias_stride,       args.out};
  one.weight_group = one.sizes.out_channels * args.weight.n;
  Correlate correlator(plan, scratch);
  for (int64_t i = begin; i < end; ++i) {
    const CorrelationItem item(plan, s.groups, i);
    one.groups = item.groups;
    const int64_t channel = item.group * one.sizes.out_channels;
    one.source.data = args.x.data + item.group * one.sizes.channels * args.x.c;
    one.weight = args.weight.data + channel * args.weight.n;
    if (args.bias != nullptr) one.bias = args.bias + channel * args.bias_stride;
    one.out.data = args.out.data + channel * args.out.c;
    for (int64_t strip = item.first; strip < item.last; ++strip) {
      correlator.run(one, item.group * plan.tiles + item.tile, item.tile, strip);
    }
  }
}

// Each item visits the inputs of every remainder, so that threads share the work evenly although
// remainders meet different numbers of taps. Where there are none the caller has put zeros.
template <class Correlate, class T>
void correlate_backward(const Conv2dBackwardInputArgs<T>& args, const Conv2dPlan& plan,
                        int64_t begin, int64_t end, void* scratch) {
  const Conv2dShape& s = args.shape;
  const int64_t remainders_h = least(s.stride_h, s.in_h), remainders_w = least(s.stride_w, s.in_w);
  CorrelationArgs<T> one{
      {},
      args.out,
      nullptr,
      args.weight.c,
      args.weight.n,
      args.weight.h,
      args.weight.w,
      nullptr,
      0,
      {nullptr, args.x.n, args.x.c, args.x.h * s.stride_h, args.x.w * s.stride_w}};
  one.weight_group = s.group_out_channels() * args.weight.n;
  Correlate correlator(plan, scratch);
  for (int64_t i = begin; i < end; ++i) {
    const CorrelationItem item(plan, s.groups, i);
    one.groups = item.groups;
    for (int64_t remainder = 0; remainder < remainders_h * remainders_w; ++remainder) {
      const int64_t h = remainder / remainders_w, w = remainder % remainders_w;
      one.sizes = backward_correlation(s, h, w);
      if (one.sizes.depth() == 0) continue;
      const int64_t channel = item.group * one.sizes.channels;
      one.source.data = args.out.data + channel * args.out.c;
      one.weight = args.weight.data + channel * args.weight.n;
      one.out.data = args.x.data + item.group * one.sizes.out_channels * args.x.c + h * args.x.h +
                     w * args.x.w;
      // By the first of its taps: which remainder has them depends on the padding.
      const int64_t number =
          ((item.group * plan.tiles + item.tile) * s.kernel_h + one.sizes.h.weight) * s.kernel_w +
          one.sizes.w.weight;
      for (int64_t strip = item.first; strip < item.last; ++strip) {
        correlator.run(one, number, item.tile, strip);
      }
    }
  }
}

template <class T>
struct Forward {
  template <class Correlate>
  static constexpr auto kernel = correlate_forward<Correlate, T>;
};
template <class T>
struct Backward {
  template <class Correlate>
  static constexpr auto kernel = correlate_backward<Correlate, T>;
};

// That of the plan's algorithm.
template <class Direction, class T>
auto* kernel_of(const Conv2dPlan& plan, const Conv2dShape& shape) {
  if (plan.channels_in_lanes) return Direction::template kernel<GroupedChannels<T>>;
  switch (plan.algorithm) {
    case Conv2dAlgorithm::kGrouped:
      return Direction::template kernel<GroupedCorrelator<T>>;
    case Conv2dAlgorithm::kWinograd2:
      if (shape.kernel_h == 5) return Direction::template kernel<WinogradCorrelator<T, 2, 5>>;
      return Direction::template kernel<WinogradCorrelator<T, 2, 3>>;
    case Conv2dAlgorithm::kWinograd4:
      return Direction::template kernel<WinogradCorrelator<T, 4, 3>>;
    default:
      return Direction::template kernel<Correlator<T>>;
  }
}

template <class T>
void conv2d(const Conv2dForwardArgs<T>& args, const Conv2dPlan& plan, int64_t begin, int64_t end,
            void* scratch) {
  kernel_of<Forward<T>, T>(plan, args.shape)(args, plan, begin, end, scratch);
}

template <class T>
void conv2d_backward_input(const Conv2dBackwardInputArgs<T>& args, const Conv2dPlan& plan,
                           int64_t begin, int64_t end, void* scratch) {
  kernel_of<Backward<T>, T>(plan, args.shape)(args, plan, begin, end, scratch);
}
