// The gradient of conv2d's weight on Hopper GPUs: a product of two images.
#include <optional>

#include "cuda/conv2d_operands.h"
#include "cuda/hopper.h"
#include "cuda/hopper_product.h"
#include "typed.h"

namespace torchconv::cuda {
namespace {

/// The gradient of a weight: rows are output channels, columns input channels of each tap, and
/// terms pixels.
template <class T>
class HopperWeightGradient {
 public:
  HopperWeightGradient(const Conv2dShape& s, const View4<const T>& x,
                       const View4<const T>& grad_out, const View4<T>& grad_weight)
      : s_(s), args_(backward_weight_of(s, grad_out, x, grad_weight)) {
    args_.out_columns = Axis({s.kernel_h, grad_weight.h}, {s.kernel_w, grad_weight.w},
                             {s.in_channels, grad_weight.c});
    columns_ = args_.out_columns.extent() > 64 ? 128 : 64;
    x_ = {x.data, kElement, {s.in_channels, s.in_w, s.in_h, s.batch}, {x.c, x.w, x.h, x.n}};
    grad_out_ = {grad_out.data,
                 kElement,
                 {s.out_channels, s.out_w, s.out_h, s.batch},
                 {grad_out.c, grad_out.w, grad_out.h, grad_out.n}};
    windows_ = {{s.out_w, s.out_h},
                {-s.pad_left, -s.pad_top},
                {s.stride_w, s.stride_h},
                {s.kernel_w, s.kernel_h},
                {s.dilation_w, s.dilation_h}};
  }

  const HopperProduct<T>& product() const { return *product_; }

  /// For images whose channels are neighbours.
  bool load_pixels() {
    const int64_t* const step = grad_out_.steps;
    if (step[2] != s_.out_w * step[1] || step[3] != s_.out_h * step[2]) return false;
    const int64_t pixels = s_.batch * s_.out_h * s_.out_w;
    if (sizeof(T) != 2 || step[0] != 1) return false;
    HopperProduct<T>& p = begin(pixels);
    const LoadedMatrix matrix{
        grad_out_.data, kElement, pixels, s_.out_channels, 1, 1, step[1], 1, 0, 0};
    return load_matrix(matrix, kTileRows, &p.row_load) &&
           load_sum_pixels(x_, windows_, columns_, &p.column_load);
  }

  /// For images whose columns are.
  bool load_planes() {
    LoadedImage x = x_, grad_out = grad_out_;
    Windows windows = windows_;
    const bool single = windows.taps[0] == 1 && windows.taps[1] == 1 && windows.first[0] == 0 &&
                        windows.first[1] == 0 && s_.in_w == s_.out_w && s_.in_h == s_.out_h;
    if (single && x.steps[2] == s_.in_w && grad_out.steps[2] == s_.out_w) {
      windows.count[0] = x.sizes[1] = grad_out.sizes[1] = s_.out_w * s_.out_h;
      windows.count[1] = x.sizes[2] = grad_out.sizes[2] = 1;
    }
    const SumTiles tiles = sum_tiles(windows.count[0], windows.count[1], kStepTerms<T>);
    HopperProduct<T>& p = begin(s_.batch * tiles.across * tiles.down * kStepTerms<T>);
    Windows own = windows;  // of grad_out over itself
    own.first[0] = own.first[1] = 0;
    own.taps[0] = own.taps[1] = 1;
    return load_sum_planes(grad_out, own, tiles, kTileRows, &p.row_load) &&
           load_sum_planes(x, windows, tiles, columns_, &p.column_load);
  }

 private:
  static constexpr MapElement kElement = MapElementOf<T>::value;

  const Conv2dShape& s_;
  ProductArgs<T> args_;
  int columns_ = 0;
  LoadedImage x_{}, grad_out_{};
  Windows windows_{};
  std::optional<HopperProduct<T>> product_;

  HopperProduct<T>& begin(int64_t terms) {
    const int64_t row_tiles = ceil_div<int64_t>(s_.out_channels, kTileRows);
    product_.emplace(args_, SumSteps(1, 1, terms, kStepTerms<T>), row_tiles, columns_);
    product_->chunks = choose_hopper_chunks(args_.shape(), row_tiles * product_->column_tiles(),
                                            product_->steps.all, true);
    return *product_;
  }
};

}  // namespace

bool hopper_conv2d_backward_weight(const at::Tensor& grad_weight, const at::Tensor& grad_out,
                                   const at::Tensor& x, const Conv2dShape& s, Float32Math float32) {
  if (!takes_hopper(grad_weight, s, float32)) return false;
  return with_hopper_type(grad_weight.scalar_type(), [&](auto type) {
    using T = decltype(type);
    HopperWeightGradient<T> gradient(s, view4<const T>(x), view4<const T>(grad_out),
                                     view4<T>(grad_weight));
    if (!gradient.load_pixels() && !gradient.load_planes()) return false;
    launch_hopper(grad_weight, gradient.product());
    return true;
  });
}

}  // namespace torchconv::cuda
