// Which algorithm computes a convolution: forced, or what its plan finds; and plans in words.
#include <atomic>

#include "cpu/conv2d_plan.h"
#include "cpu/kernels.h"
#include "environment.h"

namespace torchconv {
namespace {

std::atomic<Conv2dAlgorithm> forced{Conv2dAlgorithm::kAutomatic};

const std::vector<std::string>& names() {
  static const std::vector<std::string> all = {
      "automatic", "channels", "pixels", "depthwise", "grouped", "winograd_2x2", "winograd_4x4"};
  return all;
}
std::string name_of(Conv2dAlgorithm algorithm) { return names()[static_cast<size_t>(algorithm)]; }

std::atomic<bool>& winograd_allowed() {
  static std::atomic<bool> allowed{environment_flag("TORCHCONV_ALLOW_WINOGRAD", true)};
  return allowed;
}
std::atomic<bool>& accuracy_strict() {
  static std::atomic<bool> strict{environment_flag("TORCHCONV_STRICT_ACCURACY", false)};
  return strict;
}

/// Shares of the depthwise kernels are no plan's: only what they are is told.
Conv2dSummary depthwise_summary(const Conv2dShape& s) {
  return {name_of(Conv2dAlgorithm::kDepthwise), s.out_channels, s.batch, s.out_h, s.out_w, 0, 0, 0};
}

bool is_winograd(Conv2dAlgorithm algorithm) {
  return algorithm == Conv2dAlgorithm::kWinograd2 || algorithm == Conv2dAlgorithm::kWinograd4;
}

Conv2dSummary summary(const Conv2dPlan& plan) {
  const WinogradPlan& winograd = plan.winograd;
  if (is_winograd(plan.algorithm)) {
    return {name_of(plan.algorithm),
            plan.channel_tile,
            winograd.strip_tiles,
            winograd.outputs,
            winograd.outputs,
            plan.items,
            1,
            plan.scratch_bytes};
  }
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
  forced.store(static_cast<Conv2dAlgorithm>(
      index_of(name, names(), "conv2d_algorithm: expected name to be")));
}

bool allow_winograd() { return winograd_allowed().load(std::memory_order_relaxed); }
void set_allow_winograd(bool on) { winograd_allowed().store(on); }
bool strict_accuracy() { return accuracy_strict().load(std::memory_order_relaxed); }
void set_strict_accuracy(bool on) { accuracy_strict().store(on); }

bool takes_depthwise(const Conv2dShape& s, Conv2dAlgorithm wanted) {
  return is_depthwise(s) &&
         (wanted == Conv2dAlgorithm::kAutomatic || wanted == Conv2dAlgorithm::kDepthwise);
}

Conv2dSummary explain_forward(const Conv2dShape& s, bool channels_last, const Machine& machine) {
  const Conv2dAlgorithm wanted = forced_conv2d_algorithm();
  if (takes_depthwise(s, wanted)) return depthwise_summary(s);
  return summary(plan_forward(s, {channels_last, wanted, false}, machine));
}

Conv2dSummary explain_backward_input(const Conv2dShape& s, bool channels_last,
                                     const Machine& machine) {
  const Conv2dAlgorithm wanted = forced_conv2d_algorithm();
  if (takes_depthwise(s, wanted)) return depthwise_summary(s);
  return summary(plan_backward_input(s, {channels_last, wanted, false}, machine));
}

Conv2dSummary explain_backward_weight(const Conv2dShape& s, bool channels_last,
                                      const Machine& machine) {
  const Conv2dAlgorithm wanted = forced_conv2d_algorithm();
  if (takes_depthwise(s, wanted)) return depthwise_summary(s);
  const Conv2dWeightPlan plan = plan_weight_gradient(s, {channels_last, wanted, false}, machine);
  const bool winograd = is_winograd(plan.algorithm);
  return {name_of(plan.algorithm),
          plan.out_channel_tile,
          winograd ? plan.winograd.strip_tiles : plan.block_images,
          winograd ? plan.winograd.outputs : plan.block_rows,
          winograd ? plan.winograd.outputs : plan.block_cols,
          plan.items,
          plan.chunks,
          plan.scratch_bytes};
}

}  // namespace torchconv
