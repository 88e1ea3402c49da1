// conv2d and its input's gradient on Hopper GPUs: products of an image, read as it lies, and
// weights.
#include <ATen/ops/empty.h>

#include <optional>
#include <vector>

#include "cuda/conv2d_operands.h"
#include "cuda/device.h"
#include "cuda/hopper.h"
#include "cuda/hopper_product.h"
#include "cuda/launch.cuh"
#include "typed.h"

namespace torchconv::cuda {
namespace {

/// The same taps in ascending order.
TapLine ascending(TapLine line) {
  if (line.step >= 0) return line;
  line.first += (line.count - 1) * line.step;
  line.step = -line.step;
  line.weight += (line.count - 1) * line.weight_step;
  line.weight_step = -line.weight_step;
  return line;
}

/// Copies weights whose terms are no neighbours to [tap row, tap column, channel, source channel],
/// with zeros behind the last source channel.
template <class T>
struct PackWeights {
  T* out;
  View4<const T> weight;
  TapLine rows, columns;
  int64_t source_channels;
  Split4<int64_t> split;

  TORCHCONV_ANYWHERE void operator()(int64_t item) const {
    const auto place = split(item);
    const int64_t row = rows.weight + place.first * rows.weight_step;
    const int64_t column = columns.weight + place.second * columns.weight_step;
    const int64_t offset = row * weight.h + column * weight.w + place.third * weight.n;
    T element{};
    if (place.last < source_channels) element = weight.data[offset + place.last * weight.c];
    out[item] = element;
  }
};

/// A correlation as a product, and the memory for packed weights that it may need.
template <class T>
class HopperCorrelation {
 public:
  /// Returns false if the copy engine cannot read the image.
  bool prepare(const at::Tensor& on, const Correlation<T>& correlation) {
    c_ = correlation;
    c_.rows = ascending(c_.rows);
    c_.columns = ascending(c_.columns);
    return (load_pixels_of_image(on) || load_planes_of_image(on)) && load_weights(on);
  }

  void launch(const at::Tensor& on) {
    if (packed_.defined()) pack_weights(on);
    launch_hopper(on, *product_);
  }

 private:
  Correlation<T> c_{};
  std::optional<HopperProduct<T>> product_;
  at::Tensor packed_;

  /// Elements of a line of packed weights.
  int64_t line() const {
    constexpr int64_t kVector = 16 / int64_t(sizeof(T));
    return ceil_div(c_.source_channels, kVector) * kVector;
  }

  HopperProduct<T>& begin(const at::Tensor& on, int64_t row_tiles) {
    const int columns = choose_hopper_columns(row_tiles, c_.channels, gpu_of(on).processors);
    const SumSteps steps(c_.rows.count, c_.columns.count, c_.source_channels, kStepTerms<T>);
    product_.emplace(product_of(c_), steps, row_tiles, columns);
    product_->chunks = choose_hopper_chunks(product_->args.shape(),
                                            row_tiles * product_->column_tiles(), steps.all, false);
    return *product_;
  }

  LoadedImage image() const {
    const View4<const T>& x = c_.source;
    return {x.data,
            MapElementOf<T>::value,
            {c_.source_channels, c_.source_w, c_.source_h, c_.batch},
            {x.c, x.w, x.h, x.n}};
  }

  Windows windows() const {
    return {{c_.out_w, c_.out_h},
            {c_.columns.first, c_.rows.first},
            {c_.columns.stride, c_.rows.stride},
            {c_.columns.count, c_.rows.count},
            {c_.columns.step, c_.rows.step}};
  }

  bool load_pixels_of_image(const at::Tensor& on) {
    const int64_t pixels = c_.batch * c_.out_h * c_.out_w;
    HopperProduct<T>& p = begin(on, ceil_div<int64_t>(pixels, kTileRows));
    return load_pixels(image(), windows(), &p.row_load);
  }

  bool load_planes_of_image(const at::Tensor& on) {
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
    HopperProduct<T>& p = begin(on, c_.batch * in_plane);
    p.result_rows = {true, tiles};
    return load_planes(planes, w, tiles, &p.row_load);
  }

  bool load_weights(const at::Tensor& on) {
    const View4<const T>& w = c_.weight;
    TileLoad& load = product_->column_load;
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
    if (load_matrix(as_they_lie, product_->columns, &load)) {
      load.tap_rows = {int32_t(c_.rows.weight), int32_t(c_.rows.weight_step)};
      load.tap_columns = {int32_t(c_.columns.weight), int32_t(c_.columns.weight_step)};
      return true;
    }
    const int64_t taps = c_.rows.count * c_.columns.count, size = c_.channels * line();
    packed_ = at::empty({taps * size}, on.options());
    const LoadedMatrix packed{packed_.const_data_ptr(),
                              MapElementOf<T>::value,
                              c_.source_channels,
                              c_.channels,
                              c_.columns.count,
                              c_.rows.count,
                              1,
                              line(),
                              size,
                              c_.columns.count * size};
    load.tap_rows = load.tap_columns = {0, 1};
    return load_matrix(packed, product_->columns, &load);
  }

  void pack_weights(const at::Tensor& on) const {
    const Split4<int64_t> split(c_.columns.count, c_.channels, line());
    const PackWeights<T> body{data_of<T>(packed_), c_.weight,          c_.rows,
                              c_.columns,          c_.source_channels, split};
    cuda::launch(on, body, split.items(c_.rows.count));
  }
};

}  // namespace

bool hopper_conv2d(const at::Tensor& out, const at::Tensor& x, const at::Tensor& weight,
                   const std::optional<at::Tensor>& bias, const Conv2dShape& s,
                   Float32Math float32) {
  if (!takes_hopper(out, s, float32)) return false;
  return with_hopper_type(out.scalar_type(), [&](auto type) {
    using T = decltype(type);
    Correlation<T> c = forward_of(s, view4<const T>(x), view4<const T>(weight), view4<T>(out));
    if (bias) {
      c.bias = data_of<const T>(*bias);
      c.bias_step = bias->stride(0);
    }
    HopperCorrelation<T> hopper;
    if (!hopper.prepare(out, c)) return false;
    hopper.launch(out);
    return true;
  });
}

bool hopper_conv2d_backward_input(const at::Tensor& grad_x, const at::Tensor& grad_out,
                                  const at::Tensor& weight, const Conv2dShape& s,
                                  Float32Math float32) {
  if (!takes_hopper(grad_x, s, float32)) return false;
  return with_hopper_type(grad_x.scalar_type(), [&](auto type) {
    using T = decltype(type);
    std::vector<HopperCorrelation<T>> parts;
    std::vector<ProductArgs<T>> zeros;  // parts that no tap leads to
    for (int64_t row = 0; row < std::min(s.stride_h, s.in_h); ++row) {
      for (int64_t column = 0; column < std::min(s.stride_w, s.in_w); ++column) {
        const Correlation<T> c = backward_input_of(
            s, view4<const T>(grad_out), view4<const T>(weight), view4<T>(grad_x), row, column);
        if (c.rows.count * c.columns.count == 0) {
          zeros.push_back(product_of(c));
        } else if (!parts.emplace_back().prepare(grad_x, c)) {
          return false;
        }
      }
    }
    for (HopperCorrelation<T>& part : parts) part.launch(grad_x);
    for (const ProductArgs<T>& part : zeros) compute_product(grad_x, part, float32, false);
    return true;
  });
}

}  // namespace torchconv::cuda
