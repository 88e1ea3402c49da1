// conv2d and its gradients from views to views: a plan, threads, a kernel. No view that is written
// is empty, nor is the sum of a weight gradient.
#pragma once

#include <functional>
#include <memory>

#include "cpu/dispatch.h"
#include "cpu/parallel.h"

namespace torchconv {

/// Something to do with a convolution: items that threads may share, and scratch for each of them.
struct Conv2dWork {
  int64_t items;
  double work_per_item;  // multiplications
  int64_t scratch_bytes;
  std::function<void(int64_t begin, int64_t end, void* scratch)> run;
};

/// Shares it out.
inline void compute(const Conv2dWork& work) {
  parallel_with_scratch(work.items, work.work_per_item, work.scratch_bytes,
                        [&](int64_t begin, int64_t end, void* scratch) {
                          forget_weights(scratch);
                          work.run(begin, end, scratch);
                        });
}

/// Whether lanes of pixels would find their neighbours far apart.
template <class T>
bool is_channels_last(const View4<T>& view) {
  return view.c == 1 && view.w != 1;
}

/// What a user has forced, if anything.
template <class T>
Conv2dRequest usual_request(const View4<T>& view) {
  return {is_channels_last(view), forced_conv2d_algorithm(), false};
}

/// A depthwise kernel over the items of conv2d or of its input gradient.
template <class X, class T, class O, class Kernel>
Conv2dWork depthwise_work(const Conv2dArgs<X, T, O>& args, const DepthwiseLine& rows,
                          const DepthwiseLine& columns, Kernel* kernel) {
  const Conv2dShape& s = args.shape;
  const DepthwiseLanes lanes = depthwise_lanes(args);
  const int64_t items = depthwise_items(s, rows, columns, lanes);
  const double work = static_cast<double>(s.out_channels * s.kernel_h * s.kernel_w) * s.out_h *
                      s.out_w * s.batch / items;
  return {items, work, depthwise_scratch_bytes<std::remove_const_t<T>>(s, rows, columns, lanes),
          [=](int64_t begin, int64_t end, void* scratch) { kernel(args, begin, end, scratch); }};
}

/// A kernel that follows a plan.
template <class Args, class Kernel>
Conv2dWork planned_work(const Args& args, const Conv2dPlan& plan, Kernel* kernel) {
  return {
      plan.items, plan.work, plan.scratch_bytes,
      [=](int64_t begin, int64_t end, void* scratch) { kernel(args, plan, begin, end, scratch); }};
}

/// Writes args.out.
template <class T>
Conv2dWork conv2d_work(const Conv2dForwardArgs<T>& args, const Conv2dRequest& request,
                       const Machine& machine) {
  const Conv2dShape& s = args.shape;
  const auto& table = kernels().of(T{});
  if (takes_depthwise(s, request.algorithm)) {
    return depthwise_work(args, forward_rows(s), forward_columns(s), table.depthwise.conv2d);
  }
  return planned_work(args, plan_forward(s, request, machine), table.products.conv2d);
}

/// Writes args.x.
template <class T>
Conv2dWork conv2d_backward_input_work(const Conv2dBackwardInputArgs<T>& args,
                                      const Conv2dRequest& request, const Machine& machine) {
  const Conv2dShape& s = args.shape;
  const auto& table = kernels().of(T{});
  if (takes_depthwise(s, request.algorithm)) {
    auto* const kernel = table.depthwise.conv2d_backward_input;
    return depthwise_work(args, backward_rows(s), backward_columns(s), kernel);
  }
  return planned_work(args, plan_backward_input(s, request, machine),
                      table.products.conv2d_backward_input);
}

/// The algorithm of such work: that of parts of it must not depend on how they are cut.
template <class T>
Conv2dAlgorithm algorithm_of(const Conv2dForwardArgs<T>& args) {
  const Conv2dRequest request = usual_request(args.out);
  if (takes_depthwise(args.shape, request.algorithm)) return Conv2dAlgorithm::kDepthwise;
  return plan_forward(args.shape, request, machine<T>()).algorithm;
}
template <class T>
Conv2dAlgorithm algorithm_of(const Conv2dBackwardInputArgs<T>& args) {
  const Conv2dRequest request = usual_request(args.x);
  if (takes_depthwise(args.shape, request.algorithm)) return Conv2dAlgorithm::kDepthwise;
  return plan_backward_input(args.shape, request, machine<T>()).algorithm;
}

/// Whether that leaves pixels as they are that meet no tap, and so must be zero before.
inline bool leaves_inputs_unwritten(const Conv2dShape& s) {
  return !takes_depthwise(s, forced_conv2d_algorithm()) && some_inputs_meet_no_tap(s);
}

/// weight = Σ partial[chunk], in order, for a weight of that shape whose elements lie dense.
template <class T>
void add_weight_chunks(const Conv2dShape& s, const View4<T>& weight, int64_t chunks,
                       Accumulator<T>* partial) {
  const Conv2dArgs<const T, T, const T> conv{s, {}, weight, {}, nullptr, 0};
  const Conv2dBackwardWeightArgs<T> args{conv, chunks, partial, nullptr};
  auto* const kernel = kernels().of(T{}).products.conv2d_add_chunks;
  parallel(s.out_channels, static_cast<double>(chunks) * weight.n,
           [&](int64_t begin, int64_t end) { kernel(args, begin, end); });
}

/// Where the rows of grad_out come from if it does not exist: for one thread, which has memory for
/// so many rows of so many channels at once.
template <class T>
struct RowsMaker {
  std::function<int64_t(int64_t rows, int64_t channels)> bytes;
  std::function<std::unique_ptr<RowsOnDemand<T>>(int64_t rows, int64_t channels, void* memory)>
      make;
};

/// Writes the gradient of a weight, whose sum its plan may cut into chunks.
template <class T>
void compute_conv2d_backward_weight(const Conv2dArgs<const T, T, const T>& conv,
                                    const RowsMaker<T>* maker = nullptr) {
  using Acc = Accumulator<T>;
  const Conv2dShape& s = conv.shape;
  const auto& table = kernels().of(T{});
  Conv2dBackwardWeightArgs<T> args{conv, 1, nullptr, nullptr};
  Conv2dWeightPlan plan{};
  const Conv2dRequest request = usual_request(conv.x);
  const DepthwiseLanes lanes = depthwise_lanes(conv);
  const bool depthwise = takes_depthwise(s, request.algorithm);
  if (depthwise) {
    args.chunks = plan.chunks = depthwise_weight_chunks(s, lanes);
    plan.items = depthwise_weight_items(s, plan.chunks, lanes);
    plan.block_lines = depthwise_weight_lines(s, lanes);
    plan.out_channel_tile = depthwise_weight_channels(lanes);
    plan.work = static_cast<double>(s.batch) * s.out_h * s.out_w * s.out_channels * s.kernel_h *
                s.kernel_w / plan.items;
    plan.scratch_bytes = depthwise_weight_scratch_bytes<T>(s, lanes);
  } else {
    plan = plan_weight_gradient(s, request, machine<T>());
    args.chunks = plan.chunks;
  }
  at::Tensor partial;
  if (args.chunks > 1) {
    partial = empty_scratch(args.chunks, s.out_channels * conv.weight.n * int64_t(sizeof(Acc)));
    args.partial = data_of<Acc>(partial);
  }
  const int64_t rows = plan.block_lines, channels = plan.out_channel_tile;
  const int64_t own_bytes = cache_lines(plan.scratch_bytes);
  parallel_with_scratch(
      plan.items, plan.work, own_bytes + (maker == nullptr ? 0 : maker->bytes(rows, channels)),
      [&](int64_t begin, int64_t end, void* scratch) {
        Conv2dBackwardWeightArgs<T> own = args;
        std::unique_ptr<RowsOnDemand<T>> grad_out;
        if (maker != nullptr) {
          grad_out = maker->make(rows, channels, static_cast<char*>(scratch) + own_bytes);
          own.rows = grad_out.get();
        }
        depthwise ? table.depthwise.conv2d_backward_weight(own, begin, end, scratch)
                  : table.products.conv2d_backward_weight(own, plan, begin, end, scratch);
      });
  if (args.chunks > 1) add_weight_chunks(s, conv.weight, args.chunks, args.partial);
}

}  // namespace torchconv
