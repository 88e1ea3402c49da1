// How a convolution or one of its gradients is computed: which algorithm, in what portions.
// Decided once per call by the CPU entries, followed by the kernels, read by
// torchconv.backends.explain_conv2d. No torch headers.
#pragma once

#include <string>

#include "cpu/correlation.h"
#include "cpu/plan.h"

namespace torchconv {

/// What lies in the lanes of vectors, and so which operand is packed how.
enum class Conv2dAlgorithm {
  kAutomatic,
  kChannels,   // output channels: strips of the image are broadcast, weights are packed
  kPixels,     // output pixels: weights are broadcast, patches of the image are packed
  kDepthwise,  // a channel at a time
  kGrouped,    // output pixels of a few channels: strips of the image are multiplied as they lie
  kWinograd2,  // tiles of 2 x 2 outputs in the domain of kernels/winograd.h
  kWinograd4,  // of 4 x 4
};

/// What a plan is asked for beside a shape.
struct Conv2dRequest {
  bool channels_last;         // of what the kernel reads and writes
  Conv2dAlgorithm algorithm;  // kAutomatic: the one that is found fastest
  // The same scratch and weights serve further calls of this kind: all that packed weights and
  // their numbers depend on is in the channels, the kernel and the algorithm.
  bool keeps_weights;
};

/// Of Winograd's algorithm.
struct WinogradPlan {
  int64_t outputs;      // of a tile, in each dimension
  int64_t strip_tiles;  // that are transformed and multiplied together
  int64_t tap_elements, line_elements;
};

struct Conv2dPlan {
  Conv2dAlgorithm algorithm;
  int64_t groups;                                // that an item of work takes together
  int64_t channel_tile;                          // output channels of an item of work
  int64_t strip_images, strip_rows, strip_cols;  // its pixels: part of an image, or whole images
  int64_t tiles, strips;                         // of a group
  int64_t run;                                   // strips in an item of work
  bool keep_weights;  // packed weights of a tile fit the scratch and serve many strips
  int64_t weight_elements, source_elements, bias_elements, sum_elements;
  bool totals;
  bool channels_in_lanes;  // of kGrouped: those of whole groups fill a vector
  WinogradPlan winograd;
  int64_t items;
  double work;  // multiplications in an item
  int64_t scratch_bytes;
};

/// The scratch of such a plan begins with the number of the weights that lie packed in it, or -1.
constexpr int64_t kPackedBytes = 64;
inline void forget_weights(void* scratch) { *static_cast<int64_t*>(scratch) = -1; }

/// The gradient of the weight: what lies in the lanes, the blocks of pixels that are summed at a
/// time, the chunks of blocks that may be summed by different threads, and the tiles of the result.
/// All but the tiles follow from the shape and the instruction set alone, for they order the sum.
struct Conv2dWeightPlan {
  Conv2dAlgorithm algorithm;
  int64_t groups;                 // of kGrouped: that an item of work takes together
  bool output_channels_in_lanes;  // of kPixels
  int64_t block_images, block_rows, block_cols, blocks;
  int64_t block_lines;  // from the first row of grad_out in a block to the last, of all images
  int64_t chunks;
  int64_t out_channel_tile, in_channel_tile, in_channel_tiles, tap_rows, tap_cols, tiles;
  int64_t sum_row;
  bool totals;
  int64_t grad_elements, strip_elements, sum_elements, mask_elements;
  WinogradPlan winograd;
  int64_t items;
  double work;  // multiplications in an item
  int64_t scratch_bytes;
};

Conv2dWeightPlan plan_weight_gradient(const Conv2dShape& shape, const Conv2dRequest& request,
                                      const Machine& machine);

/// For `groups` times as many correlations as there are remainders of the stride, none larger than
/// the given one.
Conv2dPlan plan_correlation(const Correlation& correlation, int64_t groups, int64_t remainders,
                            const Conv2dRequest& request, const Machine& machine);

/// The same for groups of few channels (kernels/grouped.h). Its algorithm is kAutomatic where that
/// is not forced and slower, or strips of the image would be too large.
Conv2dPlan plan_grouped_correlation(const Correlation& correlation, int64_t groups,
                                    int64_t remainders, const Conv2dRequest& request,
                                    const Machine& machine);

/// The same by Winograd's algorithm (kernels/winograd_correlate.h); kAutomatic where it cannot be
/// taken, or is hardly faster than `direct`, in multiplications of an image.
Conv2dPlan plan_winograd_correlation(const Correlation& correlation, int64_t groups,
                                     int64_t remainders, const Conv2dRequest& request,
                                     const Machine& machine, double direct);

/// As plan_winograd_correlation.
Conv2dWeightPlan plan_winograd_weight_gradient(const Conv2dShape& shape,
                                               const Conv2dRequest& request, const Machine& machine,
                                               double direct);

/// kAutomatic where that is not forced and slower, or strips would be too large.
Conv2dWeightPlan plan_grouped_weight_gradient(const Conv2dShape& shape,
                                              const Conv2dRequest& request, const Machine& machine);

/// From one channel to the next in a strip and in its sums: whole vectors, one of them to spare for
/// those that begin anywhere, and so many that channels do not meet in the same cache sets.
inline int64_t grouped_pitch(int64_t elements, int64_t lanes) {
  return ((ceil_div(elements, lanes) + 1) | 1) * lanes;
}

/// Shares out the strips of a plan that knows how large they are.
void share_strips(const Correlation& correlation, int64_t groups, int64_t remainders,
                  const Machine& machine, Conv2dPlan* plan);

/// The algorithm that a user wants of all plans that can take it. By name,
/// force_conv2d_algorithm throws std::invalid_argument for one that there is not.
Conv2dAlgorithm forced_conv2d_algorithm();
std::string forced_conv2d_algorithm_name();
void force_conv2d_algorithm(const std::string& name);

/// Whether plans may take Winograd's algorithm, and whether only F(2 x 2, 3 x 3), whose errors in
/// usual layers are those of direct sums (docs/accuracy.md).
bool allow_winograd();
void set_allow_winograd(bool on);
bool strict_accuracy();
void set_strict_accuracy(bool on);

/// What a user can read of a plan.
struct Conv2dSummary {
  std::string algorithm;
  int64_t out_channels, images, rows, columns;  // of one item of work, or of a block of the sum
  int64_t items, chunks;
  int64_t scratch_bytes;  // of each thread
};
Conv2dSummary explain_forward(const Conv2dShape& shape, bool channels_last, const Machine& machine);
Conv2dSummary explain_backward_input(const Conv2dShape& shape, bool channels_last,
                                     const Machine& machine);
Conv2dSummary explain_backward_weight(const Conv2dShape& shape, bool channels_last,
                                      const Machine& machine);

/// Whether a convolution goes a channel at a time, as nothing but kAutomatic and kDepthwise let it.
bool takes_depthwise(const Conv2dShape& shape, Conv2dAlgorithm wanted);

Conv2dPlan plan_forward(const Conv2dShape& shape, const Conv2dRequest& request,
                        const Machine& machine);
Conv2dPlan plan_backward_input(const Conv2dShape& shape, const Conv2dRequest& request,
                               const Machine& machine);

}  // namespace torchconv
