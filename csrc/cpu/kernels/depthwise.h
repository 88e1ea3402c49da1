// Depthwise convolution: every channel is convolved by itself, with one kernel per output channel.
// conv2d and its input gradient are both "dest = Σ taps · source" (see cpu/depthwise.h): forward,
// the source is split by stride and the results are one phase; backward it is the other way round.
// So no zero between the strides is ever multiplied.

template <class T>
struct DepthwiseCorrelation {
  DepthwiseLine h, w;
  int64_t batch, channels, multiplier;
  bool backward;
  View4<const T> source, weight;
  View4<T> dest;
  const T* bias;  // nullptr: none
  int64_t bias_stride;
};

template <class T>
inline DepthwiseCorrelation<T> correlation(const Conv2dForwardArgs<T>& args) {
  const Conv2dShape& s = args.shape;
  return {
      forward_rows(s), forward_columns(s), s.batch,  s.in_channels, s.group_out_channels(), false,
      args.x,          args.weight,        args.out, args.bias,     args.bias_stride};
}
template <class T>
inline DepthwiseCorrelation<T> correlation(const Conv2dBackwardInputArgs<T>& args) {
  const Conv2dShape& s = args.shape;
  return {backward_rows(s),
          backward_columns(s),
          s.batch,
          s.in_channels,
          s.group_out_channels(),
          true,
          args.out,
          args.weight,
          args.x,
          nullptr,
          0};
}

// clang-format off
#include "cpu/kernels/depthwise_planes.h"
#include "cpu/kernels/depthwise_tile.h"
#include "cpu/kernels/depthwise_channels.h"
#include "cpu/kernels/depthwise_turned.h"
#include "cpu/kernels/depthwise_weight.h"
#include "cpu/kernels/depthwise_weight_channels.h"
// clang-format on

template <class T>
inline void correlate(const DepthwiseCorrelation<T>& c, DepthwiseLanes lanes, int64_t begin,
                      int64_t end, void* scratch) {
  lanes == DepthwiseLanes::channels ? correlate_channels(c, begin, end, scratch)
  : lanes == DepthwiseLanes::turned ? correlate_turned(c, begin, end, scratch)
                                    : correlate_planes(c, begin, end, scratch);
}

template <class T>
void depthwise_conv2d(const Conv2dForwardArgs<T>& args, int64_t begin, int64_t end, void* scratch) {
  correlate(correlation(args), depthwise_lanes(args), begin, end, scratch);
}

template <class T>
void depthwise_backward_input(const Conv2dBackwardInputArgs<T>& args, int64_t begin, int64_t end,
                              void* scratch) {
  correlate(correlation(args), depthwise_lanes(args), begin, end, scratch);
}

template <class T>
void depthwise_backward_weight(const Conv2dBackwardWeightArgs<T>& args, int64_t begin, int64_t end,
                               void* scratch) {
  const DepthwiseLanes lanes = depthwise_lanes(args.conv);
  lanes == DepthwiseLanes::channels ? weight_gradient_channels(args, begin, end, scratch)
  : lanes == DepthwiseLanes::turned ? weight_gradient_turned(args, begin, end, scratch)
                                    : weight_gradient_planes(args, begin, end, scratch);
}

template <class T>
constexpr DepthwiseKernels<T> depthwise_kernels() {
  return {.conv2d = depthwise_conv2d<T>,
          .conv2d_backward_input = depthwise_backward_input<T>,
          .conv2d_backward_weight = depthwise_backward_weight<T>};
}
