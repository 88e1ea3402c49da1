// conv2d and its gradients from views to views: a plan, threads, a kernel. No view that is written
// is empty, nor is the sum of a weight gradient.
#pragma once

#include "cpu/dispatch.h"
#include "cpu/parallel.h"

namespace torchconv {

/// Runs a depthwise kernel over the items of conv2d or of its input gradient.
template <class X, class T, class O, class Kernel>
void parallel_depthwise(const Conv2dArgs<X, T, O>& args, const DepthwiseLine& rows,
                        const DepthwiseLine& columns, const Kernel& kernel) {
  const Conv2dShape& s = args.shape;
  const DepthwiseLanes lanes = depthwise_lanes(args);
  const int64_t items = depthwise_items(s, rows, columns, lanes);
  const double work = static_cast<double>(s.out_channels * s.kernel_h * s.kernel_w) * s.out_h *
                      s.out_w * s.batch / items;
  parallel_with_scratch(
      items, work, depthwise_scratch_bytes<std::remove_const_t<T>>(s, rows, columns, lanes),
      [&](int64_t begin, int64_t end, void* scratch) { kernel(args, begin, end, scratch); });
}

/// Writes args.out.
template <class T>
void compute_conv2d(const Conv2dForwardArgs<T>& args) {
  const Conv2dShape& s = args.shape;
  if (takes_depthwise(s)) {
    auto* const depthwise = kernels().of(T{}).depthwise.conv2d;
    return parallel_depthwise(args, forward_rows(s), forward_columns(s), depthwise);
  }
  auto* const kernel = kernels().of(T{}).products.conv2d;
  const Conv2dPlan plan = plan_forward(s, args.out.c == 1 && args.out.w != 1, machine<T>());
  parallel_with_scratch(
      plan.items, plan.work, plan.scratch_bytes,
      [&](int64_t begin, int64_t end, void* scratch) { kernel(args, plan, begin, end, scratch); });
}

/// Whether compute_conv2d_backward_input leaves pixels as they are that meet no tap, and so must be
/// zero before.
inline bool leaves_inputs_unwritten(const Conv2dShape& s) {
  return !takes_depthwise(s) && some_inputs_meet_no_tap(s);
}

/// Writes args.x.
template <class T>
void compute_conv2d_backward_input(const Conv2dBackwardInputArgs<T>& args) {
  const Conv2dShape& s = args.shape;
  if (takes_depthwise(s)) {
    auto* const depthwise = kernels().of(T{}).depthwise.conv2d_backward_input;
    return parallel_depthwise(args, backward_rows(s), backward_columns(s), depthwise);
  }
  auto* const kernel = kernels().of(T{}).products.conv2d_backward_input;
  const Conv2dPlan plan = plan_backward_input(s, args.x.c == 1 && args.x.w != 1, machine<T>());
  parallel_with_scratch(
      plan.items, plan.work, plan.scratch_bytes,
      [&](int64_t begin, int64_t end, void* scratch) { kernel(args, plan, begin, end, scratch); });
}

/// The gradient of a weight, in as many chunks as its plan cuts the sum into.
template <class T>
class WeightGradientWork {
 public:
  using Acc = Accumulator<T>;
  using Args = Conv2dArgs<const T, T, const T>;

  explicit WeightGradientWork(const Args& conv)
      : conv_(conv), depthwise_(takes_depthwise(conv.shape)), lanes_(depthwise_lanes(conv)) {
    const bool channels_last = conv.x.c == 1 && conv.x.w != 1;
    if (!depthwise_) plan_ = plan_weight_gradient(conv.shape, channels_last, machine<T>());
    chunks_ = depthwise_ ? depthwise_weight_chunks(conv.shape, lanes_) : plan_.chunks;
  }

  int64_t chunks() const { return chunks_; }

  /// Writes the sum of each chunk to `partial`, laid out as the gradient; or, if that is nullptr
  /// and there is but one, to the gradient.
  void compute(Acc* partial) const {
    const Conv2dShape& s = conv_.shape;
    const Conv2dBackwardWeightArgs<T> args{conv_, chunks_, partial};
    if (depthwise_) {
      const int64_t items = depthwise_weight_items(s, chunks_, lanes_);
      const double terms = static_cast<double>(s.batch) * s.out_h * s.out_w;
      const double elements = static_cast<double>(s.out_channels) * s.kernel_h * s.kernel_w;
      auto* const kernel = kernels().of(T{}).depthwise.conv2d_backward_weight;
      return parallel_with_scratch(
          items, terms * elements / items, depthwise_weight_scratch_bytes<T>(s, lanes_),
          [&](int64_t begin, int64_t end, void* scratch) { kernel(args, begin, end, scratch); });
    }
    auto* const kernel = kernels().of(T{}).products.conv2d_backward_weight;
    parallel_with_scratch(plan_.items, plan_.work, plan_.scratch_bytes,
                          [&](int64_t begin, int64_t end, void* scratch) {
                            kernel(args, plan_, begin, end, scratch);
                          });
  }

 private:
  Args conv_;
  bool depthwise_;
  DepthwiseLanes lanes_;
  Conv2dWeightPlan plan_{};
  int64_t chunks_;
};

/// weight = Σ partial[chunk], in order, for a weight of that shape whose elements lie dense.
template <class T>
void add_weight_chunks(const Conv2dShape& s, const View4<T>& weight, int64_t chunks,
                       Accumulator<T>* partial) {
  const Conv2dArgs<const T, T, const T> conv{s, {}, weight, {}, nullptr, 0};
  const Conv2dBackwardWeightArgs<T> args{conv, chunks, partial};
  auto* const kernel = kernels().of(T{}).products.conv2d_add_chunks;
  parallel(s.out_channels, static_cast<double>(chunks) * weight.n,
           [&](int64_t begin, int64_t end) { kernel(args, begin, end); });
}

}  // namespace torchconv
