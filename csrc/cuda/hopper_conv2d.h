// conv2d and its input's gradient on Hopper GPUs: products of an image and weights, planned from
// shapes and strides alone.
#pragma once

#include <optional>
#include <vector>

#include "cuda/conv2d_operands.h"
#include "cuda/hopper_product.h"
#include "cuda/relaid.h"

namespace torchconv::cuda {

/// The same taps in ascending order.
inline TapLine ascending(TapLine line) {
  if (line.step >= 0) return line;
  line.first += (line.count - 1) * line.step;
  line.step = -line.step;
  line.weight += (line.count - 1) * line.weight_step;
  line.weight_step = -line.weight_step;
  return line;
}

/// A correlation as a product.
template <class T>
class HopperCorrelation {
 public:
  HopperCorrelation(const Correlation<T>& correlation, bool split)
      : split_(split), c_(correlation) {
    c_.rows = ascending(c_.rows);
    c_.columns = ascending(c_.columns);
  }

  /// Returns false if the copy engine cannot read the image.
  bool plan() { return (load_pixels_of_image() || load_planes_of_image()) && load_weights(); }

  const Correlation<T>& correlation() const { return c_; }
  HopperProduct<T>& product() { return *product_; }
  /// How many weights have to be packed; 0 if they are read as they lie.
  int64_t packed() const { return packed_; }
  bool split() const { return split_; }

  /// Elements of a line of packed weights.
  int64_t line() const {
    constexpr int64_t kVector = 16 / int64_t(sizeof(T));
    return ceil_div(c_.source_channels, kVector) * kVector;
  }

 private:
  bool split_;
  Correlation<T> c_;
  std::optional<HopperProduct<T>> product_;
  int64_t packed_ = 0;

  int parts() const { return split_ ? 2 : 1; }

  HopperProduct<T>& begin(int64_t row_tiles) {
    const SumSteps steps(c_.rows.count, c_.columns.count, c_.source_channels, kStepTerms<T>);
    return product_.emplace(product_of(c_), steps, row_tiles, split_);
  }

  LoadedImage image() const {
    const View4<const T>& x = c_.source;
    return {x.data,
            MapElementOf<T>::value,
            {c_.source_channels, c_.source_w, c_.source_h, c_.batch * parts()},
            {x.c, x.w, x.h, x.n}};
  }

  Windows windows() const {
    return {{c_.out_w, c_.out_h},
            {c_.columns.first, c_.rows.first},
            {c_.columns.stride, c_.rows.stride},
            {c_.columns.count, c_.rows.count},
            {c_.columns.step, c_.rows.step}};
  }

  bool load_pixels_of_image() {
    const int64_t pixels = c_.batch * c_.out_h * c_.out_w;
    HopperProduct<T>& p = begin(ceil_div<int64_t>(pixels, kTileRows));
    p.row_load.lower_step = int32_t(c_.batch);
    return load_pixels(image(), windows(), &p.row_load);
  }

  bool load_planes_of_image() {
    if (split_) return false;
    LoadedImage planes = image();
    Windows w = windows();
    // Where windows are single elements, a plane is a single row.
    const bool single = c_.rows.count == 1 && c_.columns.count == 1 && w.first[0] == 0 &&
                        w.first[1] == 0 && w.count[0] == planes.sizes[1] &&
                        w.count[1] == planes.sizes[2] && w.stride[0] == 1 && w.stride[1] == 1;
    if (single && planes.steps[2] == planes.sizes[1]) {
      planes.sizes[1] *= planes.sizes[2];
      w.count[0] = planes.sizes[1];
      planes.sizes[2] = w.count[1] = 1;
    }
    const PlaneTiles tiles = plane_tiles(w.count[0], w.count[1]);
    const int64_t in_plane =
        int64_t(tiles.tiles.by_column.divisor()) * tiles.tiles.by_row.divisor();
    HopperProduct<T>& p = begin(c_.batch * in_plane);
    p.result_rows.rectangles = true;
    p.result_rows.planes = tiles;
    return load_planes(planes, w, tiles, &p.row_load);
  }

  bool load_weights() {
    const View4<const T>& w = c_.weight;
    TilePlan& load = product_->column_load;
    const auto sizes = [](const TapLine& line) {
      return std::max(line.weight, line.weight + (line.count - 1) * line.weight_step) + 1;
    };
    const LoadedMatrix as_they_lie{w.data,
                                   MapElementOf<T>::value,
                                   c_.source_channels,
                                   c_.channels,
                                   sizes(c_.columns),
                                   sizes(c_.rows),
                                   w.c,
                                   w.n,
                                   w.w,
                                   w.h};
    if (!split_ && load_matrix(as_they_lie, product_->cut.columns, &load)) {
      load.tap_rows = {int32_t(c_.rows.weight), int32_t(c_.rows.weight_step)};
      load.tap_columns = {int32_t(c_.columns.weight), int32_t(c_.columns.weight_step)};
      return true;
    }
    const int64_t taps = c_.rows.count * c_.columns.count, size = c_.channels * line();
    packed_ = parts() * taps * size;
    const LoadedMatrix packed{nullptr,  // so far
                              MapElementOf<T>::value,
                              c_.source_channels,
                              c_.channels,
                              c_.columns.count,
                              c_.rows.count * parts(),
                              1,
                              line(),
                              size,
                              c_.columns.count * size};
    load.tap_rows = load.tap_columns = {0, 1};
    load.lower_step = int32_t(c_.rows.count);
    return load_matrix(packed, product_->cut.columns, &load);
  }
};

/// Whether a copy of the source pays off, where the copy engine cannot read it as it lies.
template <class T>
bool pays_to_relay(const Correlation<T>& c) {
  constexpr int64_t kLeastChannels = 16;
  return c.source_channels >= kLeastChannels;
}

/// All correlations that make a result, one for each remainder by the strides of an input's
/// gradient, and the copy of the image that they read.
template <class T>
struct HopperConvolution {
  std::vector<HopperCorrelation<T>> parts;
  bool zeros = false;  // whether there are parts that no tap leads to
  std::optional<Relaid<T>> source;

  int64_t copied_bytes() const { return source ? source->bytes() : 0; }

  /// Returns false if the copy engine can read neither the image nor a copy, or if that does not
  /// pay off. for_parts(image, fn) calls fn with each of the correlations of an image.
  template <class ForParts>
  bool plan(const View4<const T>& image, bool split, const ForParts& for_parts) {
    if (!split && plan_parts(image, split, for_parts)) return true;
    std::optional<Correlation<T>> first;
    for_parts(image, [&](const Correlation<T>& c) {
      if (!first) first = c;
    });
    if (!first) return true;  // nothing but zeros
    if (!pays_to_relay(*first)) return false;
    const ImageSizes sizes{first->batch, first->source_channels, first->source_h, first->source_w};
    source.emplace(image, sizes, ImageOrder::kChannels, split);
    return plan_parts(source->view(), split, for_parts);
  }

 private:
  template <class ForParts>
  bool plan_parts(const View4<const T>& image, bool split, const ForParts& for_parts) {
    parts.clear();
    bool can = true;
    for_parts(image,
              [&](const Correlation<T>& c) { can = can && parts.emplace_back(c, split).plan(); });
    return can;
  }
};

template <class T>
bool plan_hopper_conv2d(const Correlation<T>& correlation, bool split, HopperConvolution<T>* plan) {
  return plan->plan(correlation.source, split, [&](const View4<const T>& image, const auto& fn) {
    Correlation<T> c = correlation;
    c.source = image;
    fn(c);
  });
}

template <class T>
bool plan_hopper_backward_input(const Conv2dShape& s, const View4<const T>& grad_out,
                                const View4<const T>& weight, const View4<T>& grad_x, bool split,
                                HopperConvolution<T>* plan) {
  // Where windows tile the image, other kernels start but once.
  constexpr int64_t kMostLaunches = 4;
  if (tiles_image(s) && s.stride_h * s.stride_w > kMostLaunches) return false;
  const MetRemainders met(s);
  plan->zeros = !met.all;
  return plan->plan(grad_out, split, [&](const View4<const T>& image, const auto& fn) {
    met.each([&](int64_t row, int64_t column) {
      fn(backward_input_of(s, image, weight, grad_x, row, column));
    });
  });
}

/// Copies a correlation's weights to [tap row, tap column, channel, source channel], of which the
/// last are lines of `line()` elements, in their upper and lower parts if it is split.
template <class T>
std::shared_ptr<void> pack_weights(const at::Tensor& on, const HopperCorrelation<T>& part);

}  // namespace torchconv::cuda
