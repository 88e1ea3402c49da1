// The gradient of conv2d's weight on Hopper GPUs: a product of two images, planned from shapes and
// strides alone.
#pragma once

#include <optional>

#include "cuda/conv2d_operands.h"
#include "cuda/hopper_product.h"
#include "cuda/relaid.h"

namespace torchconv::cuda {

/// The gradient of a weight: rows are input channels of each tap, columns output channels, and
/// terms pixels. The copy engine is quicker with grad_out than with windows over x, and tiles have
/// more columns than rows. Channels of a tap are counted in whole boxes.
template <class T>
class HopperWeightProduct {
 public:
  HopperWeightProduct(const Conv2dShape& s, const View4<const T>& x, const View4<const T>& grad_out,
                      const View4<T>& grad_weight, bool split)
      : s_(s), args_(backward_weight_of(s, grad_out, x, grad_weight)), split_(split) {
    const int64_t counted = ceil_div<int64_t>(s.in_channels, kBoxExtent) * kBoxExtent;
    args_.out_columns = args_.out_rows;
    args_.out_rows =
        Axis({s.kernel_h, grad_weight.h}, {s.kernel_w, grad_weight.w}, {counted, grad_weight.c});
    args_.out_along_rows = grad_weight.c == 1;
    real_ = {Divider<int32_t>(int32_t(counted)), int32_t(s.in_channels)};
    x_ = {x.data, kElement, {s.in_channels, s.in_w, s.in_h, images()}, {x.c, x.w, x.h, x.n}};
    grad_out_ = {grad_out.data,
                 kElement,
                 {s.out_channels, s.out_w, s.out_h, images()},
                 {grad_out.c, grad_out.w, grad_out.h, grad_out.n}};
    windows_ = {{s.out_w, s.out_h},
                {-s.pad_left, -s.pad_top},
                {s.stride_w, s.stride_h},
                {s.kernel_w, s.kernel_h},
                {s.dilation_w, s.dilation_h}};
  }

  HopperProduct<T>& product() { return *product_; }

  /// For images whose channels are neighbours.
  bool load_pixels() {
    const int64_t* const step = grad_out_.steps;
    if (step[2] != s_.out_w * step[1] || step[3] != s_.out_h * step[2]) return false;
    const int64_t pixels = s_.batch * s_.out_h * s_.out_w;
    if (sizeof(T) != 2 || step[0] != 1) return false;
    HopperProduct<T>& p = begin(pixels);
    const LoadedMatrix matrix{
        grad_out_.data, kElement, pixels, s_.out_channels, 1, 1, step[1], 1, 0, 0};
    return load_sum_pixels(x_, windows_, kTileRows, &p.row_load) &&
           load_matrix(matrix, p.cut.columns, &p.column_load);
  }

  /// For images whose columns are; `tap_step`: from a copy of x for one tap column to the next.
  bool load_planes(int64_t tap_step = 0) {
    LoadedImage x = x_, grad_out = grad_out_;
    Windows windows = windows_;
    if (tap_step != 0) {  // what a tap column reads is there
      x.sizes[1] = s_.out_w;
      windows.first[0] = windows.tap_step[0] = 0;
      windows.stride[0] = 1;
    }
    const bool single = windows.taps[0] == 1 && windows.taps[1] == 1 && windows.first[0] == 0 &&
                        windows.first[1] == 0 && windows.stride[1] == 1 && x.sizes[1] == s_.out_w &&
                        s_.in_h == s_.out_h;
    if (single && x.steps[2] == s_.out_w && grad_out.steps[2] == s_.out_w) {
      windows.count[0] = x.sizes[1] = grad_out.sizes[1] = s_.out_w * s_.out_h;
      windows.count[1] = x.sizes[2] = grad_out.sizes[2] = 1;
    }
    const SumTiles tiles = sum_tiles(windows.count[0], windows.count[1], kStepTerms<T>);
    HopperProduct<T>& p = begin(s_.batch * tiles.across * tiles.down * kStepTerms<T>);
    Windows own = windows;  // of grad_out over itself
    own.first[0] = own.first[1] = 0;
    own.taps[0] = own.taps[1] = own.stride[1] = 1;
    const int64_t copies = tap_step == 0 ? 1 : s_.kernel_w;
    p.row_load.lower_step = int32_t(copies * s_.batch);
    p.column_load.lower_step = int32_t(s_.batch);
    if (split_) x.sizes[3] = (copies + 1) * s_.batch;  // from each copy to its lower parts
    return load_sum_planes(x, windows, tiles, kTileRows, tap_step, &p.row_load) &&
           load_sum_planes(grad_out, own, tiles, p.cut.columns, 0, &p.column_load);
  }

 private:
  static constexpr MapElement kElement = MapElementOf<T>::value;

  Conv2dShape s_;
  ProductArgs<T> args_;
  RealRows real_;
  bool split_;
  LoadedImage x_{}, grad_out_{};
  Windows windows_{};
  std::optional<HopperProduct<T>> product_;

  /// Those with the lower parts of numbers, too.
  int64_t images() const { return s_.batch * (split_ ? 2 : 1); }

  HopperProduct<T>& begin(int64_t terms) {
    const int64_t row_tiles = ceil_div<int64_t>(args_.out_rows.extent(), kTileRows);
    product_.emplace(args_, SumSteps(1, 1, terms, kStepTerms<T>), row_tiles, split_);
    product_->result_rows.real = real_;
    return *product_;
  }
};

/// The product, and the copies of images that it reads.
template <class T>
struct HopperWeightGradient {
  std::optional<HopperWeightProduct<T>> product;
  std::optional<Relaid<T>> x, grad_out;

  int64_t copied_bytes() const { return (x ? x->bytes() : 0) + (grad_out ? grad_out->bytes() : 0); }

  /// Returns false if the copy engine can read neither the images nor copies.
  bool plan(const Conv2dShape& s, const View4<const T>& x_, const View4<const T>& grad_out_,
            const View4<T>& grad_weight, bool split) {
    x.reset();
    grad_out.reset();
    if (!split) {
      product.emplace(s, x_, grad_out_, grad_weight, split);
      if (product->load_pixels() || product->load_planes()) return true;
    }
    const ImageSizes x_sizes{s.batch, s.in_channels, s.in_h, s.in_w};
    const ImageSizes out_sizes{s.batch, s.out_channels, s.out_h, s.out_w};
    constexpr int64_t kLeastChannels = 16;
    if (s.in_channels < kLeastChannels) return false;
    if (sizeof(T) == 2) {
      x.emplace(x_, x_sizes, ImageOrder::kChannels, split);
      grad_out.emplace(grad_out_, out_sizes, ImageOrder::kChannels, split);
      product.emplace(s, x->view(), grad_out->view(), grad_weight, split);
      if (product->load_pixels()) return true;
    }
    const TapColumns columns{s.kernel_w, -s.pad_left, s.dilation_w, s.stride_w, s.out_w};
    x.emplace(x_, x_sizes, ImageOrder::kColumns, split, columns);
    grad_out.emplace(grad_out_, out_sizes, ImageOrder::kColumns, split);
    product.emplace(s, x->view(), grad_out->view(), grad_weight, split);
    return product->load_planes(x->tap_step());
  }
};

}  // namespace torchconv::cuda
