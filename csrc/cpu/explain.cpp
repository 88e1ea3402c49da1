#include "cpu/explain.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <stdexcept>

#include "cpu/isa.h"

namespace torchconv {

std::vector<Conv2dExplanation> explain_conv2d(const std::vector<int64_t>& sizes,
                                              int64_t element_bytes, bool is_bf16,
                                              bool channels_last) {
  if (sizes.size() != 18) throw std::invalid_argument("explain_conv2d: expected 18 sizes");
  const int64_t* n = sizes.data();
  const Conv2dShape shape{n[0], n[1],  n[2],  n[3],  n[4],  n[5],  n[6],  n[7],  n[8],
                          n[9], n[10], n[11], n[12], n[13], n[14], n[15], n[16], n[17]};
  const Lanes& lanes = kernels().lanes;
  const Machine machine{.lanes = lanes,
                        .element_bytes = element_bytes,
                        .accumulator_bytes = std::max<int64_t>(element_bytes, 4),
                        .terms = is_bf16 ? lanes.bf16_terms : 1,
                        .threads = at::get_num_threads(),
                        .l2_bytes = l2_cache_bytes()};
  std::vector<Conv2dExplanation> plans;
  const bool empty = shape.batch == 0 || shape.in_channels == 0 || shape.out_channels == 0 ||
                     shape.in_h == 0 || shape.in_w == 0;
  if (empty) {  // there is nothing to share out, and the entries do not ask for a plan
    plans.assign(3, {"none", 0, 0, 0, 0, 0, 0, 0});
    return plans;
  }
  for (auto* explain : {&explain_forward, &explain_backward_input, &explain_backward_weight}) {
    const Conv2dSummary s = (*explain)(shape, channels_last, machine);
    plans.emplace_back(s.algorithm, s.out_channels, s.images, s.rows, s.columns, s.items, s.chunks,
                       s.scratch_bytes);
  }
  return plans;
}

}  // namespace torchconv
