// Which algorithm computes a convolution: forced, or what its plan finds; and plans in words.
#include <atomic>
#include <stdexcept>

#include "cpu/conv2d_plan.h"
#include "cpu/kernels.h"

namespace torchconv {
namespace {

std::atomic<Conv2dAlgorithm> forced{Conv2dAlgorithm::kAutomatic};

constexpr const char* kNames[] = {"automatic", "channels", "pixels", "depthwise", "grouped"};
const char* name_of(Conv2dAlgorithm algorithm) { return kNames[static_cast<int>(algorithm)]; }

/// Shares of the depthwise kernels are no plan's: only what they are is told.
Conv2dSummary depthwise_summary(const Conv2dShape& s) {
  return {name_of(Conv2dAlgorithm::kDepthwise), s.out_channels, s.batch, s.out_h, s.out_w, 0, 0, 0};
}

Conv2dSummary summary(const Conv2dPlan& plan) {
  return {name_of(plan.algorithm),
          plan.groups * plan.channel_tile,
          plan.strip_images,
          plan.strip_rows,
          plan.strip_cols,
          plan.items,
          1,
          plan.scratch_bytes};
}

}  // namespace

Conv2dAlgorithm forced_conv2d_algorithm() { return forced.load(std::memory_order_relaxed); }
std::string forced_conv2d_algorithm_name() { return name_of(forced_conv2d_algorithm()); }

void force_conv2d_algorithm(const std::string& name) {
  std::string names;
  int index = 0;
  for (const char* known : kNames) {
    if (name == known) return forced.store(static_cast<Conv2dAlgorithm>(index));
    names += (index++ == 0 ? "" : ", ") + std::string(known);
  }
  throw std::invalid_argument("conv2d_algorithm: expected name to be one of " + names +
                              ", but got '" + name + "'");
}

bool takes_depthwise(const Conv2dShape& s) {
  const Conv2dAlgorithm wanted = forced_conv2d_algorithm();
  return is_depthwise(s) &&
         (wanted == Conv2dAlgorithm::kAutomatic || wanted == Conv2dAlgorithm::kDepthwise);
}

Conv2dSummary explain_forward(const Conv2dShape& s, bool channels_last, const Machine& machine) {
  if (takes_depthwise(s)) return depthwise_summary(s);
  return summary(plan_forward(s, channels_last, machine));
}

Conv2dSummary explain_backward_input(const Conv2dShape& s, bool channels_last,
                                     const Machine& machine) {
  if (takes_depthwise(s)) return depthwise_summary(s);
  return summary(plan_backward_input(s, channels_last, machine));
}

Conv2dSummary explain_backward_weight(const Conv2dShape& s, bool channels_last,
                                      const Machine& machine) {
  if (takes_depthwise(s)) return depthwise_summary(s);
  const Conv2dWeightPlan plan = plan_weight_gradient(s, channels_last, machine);
  const Conv2dAlgorithm algorithm = plan.groups > 0                 ? Conv2dAlgorithm::kGrouped
                                    : plan.output_channels_in_lanes ? Conv2dAlgorithm::kPixels
                                                                    : Conv2dAlgorithm::kChannels;
  return {name_of(algorithm), plan.out_channel_tile, plan.block_images,
          plan.block_rows,    plan.block_cols,       plan.items,
          plan.chunks,        plan.scratch_bytes};
}

}  // namespace torchconv
