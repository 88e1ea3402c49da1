// conv2d and its gradients as products: which element of which tensor an operand's indices lead to.
// Plain arithmetic on sizes and strides, for the host alone.
#pragma once

#include <algorithm>
#include <vector>

#include "cuda/product.h"
#include "taps.h"
#include "views.h"

namespace torchconv::cuda {

/// A sum over channels and taps of a source image, for every pixel of a grid: conv2d, and for each
/// remainder of an input's position by the stride a part of its gradient.
template <class T>
struct Correlation {
  int64_t batch, groups;
  int64_t channels, source_channels;  // of a group
  View4<const T> source, weight;      // weight: n and c step through channels and source_channels
  int64_t weight_group;               // from one group to the next
  View4<T> out;
  int64_t source_h, source_w, out_h, out_w;
  TapLine rows, columns;
  const T* bias = nullptr;
  int64_t bias_step = 0;
};

/// Digits that run over channels and taps, or images and pixels. Where channels are neighbours in
/// memory they run fastest.
struct DigitOrder {
  bool channels_last;

  Axis operator()(const Digit& channels, const Digit& rows, const Digit& columns) const {
    return channels_last ? Axis(rows, columns, channels) : Axis(channels, rows, columns);
  }
};

template <class T>
DigitOrder order_of(const View4<T>& view, int64_t channels) {
  return DigitOrder{view.c == 1 && channels > 1};
}

/// Whether outputs and taps lead out of an image of so many rows, or columns.
inline bool leads_out(const TapLine& line, int64_t outputs, int64_t size) {
  const int64_t out = (outputs - 1) * line.stride, taps = (line.count - 1) * line.step;
  const int64_t lowest = line.first + std::min<int64_t>(taps, 0);
  const int64_t highest = line.first + out + std::max<int64_t>(taps, 0);
  return line.count > 0 && outputs > 0 && (lowest < 0 || highest >= size);
}

/// What an operand has to know of an image in order to stay inside of it.
template <class T>
void bound(Operand<T>* operand, int64_t height, int64_t width, bool bounded) {
  operand->height = bounded ? int32_t(height) : 1;
  operand->width = bounded ? int32_t(width) : 1;
}

/// A digit that steps through an image; without bounds only its offsets count, and more digits can
/// become one.
inline Digit in_rows(int64_t extent, int64_t step, int64_t stride, bool bounded) {
  return {extent, step * stride, bounded ? int32_t(step) : 0, 0};
}
inline Digit in_columns(int64_t extent, int64_t step, int64_t stride, bool bounded) {
  return {extent, step * stride, 0, bounded ? int32_t(step) : 0};
}
inline Place first_place(int64_t row, int64_t column, int64_t row_stride, int64_t column_stride,
                         bool bounded) {
  return {row * row_stride + column * column_stride, bounded ? int32_t(row) : 0,
          bounded ? int32_t(column) : 0};
}

/// Axes of a result [batch, channels, height, width] whose rows are pixels.
template <class T>
void pixels_by_channels(ProductArgs<T>* args, const View4<T>& out, int64_t batch, int64_t channels,
                        int64_t height, int64_t width) {
  args->out = out.data;
  args->out_rows = Axis({batch, out.n}, {height, out.h}, {width, out.w});
  args->out_columns = Axis({channels, out.c});
  args->out_along_rows = args->out_rows.digit(2).offset == 1 && (channels == 1 || out.c != 1);
}

/// The product for outputs that follow each other by these lines; `bounded`: whether taps may lead
/// out of the image.
template <class T>
ProductArgs<T> product_of(const Correlation<T>& c, bool bounded) {
  const DigitOrder order = order_of(c.source, c.source_channels);
  const View4<const T>&x = c.source, &w = c.weight;
  ProductArgs<T> args;
  args.rows.data = x.data;
  args.rows.outer = Axis({c.batch, x.n}, in_rows(c.out_h, c.rows.stride, x.h, bounded),
                         in_columns(c.out_w, c.columns.stride, x.w, bounded));
  args.rows.outer.begin_at(first_place(c.rows.first, c.columns.first, x.h, x.w, bounded));
  args.rows.sum = order({c.source_channels, x.c}, in_rows(c.rows.count, c.rows.step, x.h, bounded),
                        in_columns(c.columns.count, c.columns.step, x.w, bounded));
  bound(&args.rows, c.source_h, c.source_w, bounded);
  args.columns.data = w.data + c.rows.weight * w.h + c.columns.weight * w.w;
  args.columns.outer = Axis({c.channels, w.n});
  args.columns.sum = order({c.source_channels, w.c}, {c.rows.count, c.rows.weight_step * w.h},
                           {c.columns.count, c.columns.weight_step * w.w});
  pixels_by_channels(&args, c.out, c.batch, c.channels, c.out_h, c.out_w);
  args.batch.extents[2] = c.groups;
  args.batch.rows[2] = c.source_channels * x.c;
  args.batch.columns[2] = c.weight_group;
  args.batch.out[2] = c.channels * c.out.c;
  args.batch.bias[2] = c.channels * c.bias_step;
  args.bias = c.bias;
  args.bias_step = c.bias_step;
  return args;
}

template <class T>
ProductArgs<T> product_of(const Correlation<T>& c) {
  return product_of(
      c, leads_out(c.rows, c.out_h, c.source_h) || leads_out(c.columns, c.out_w, c.source_w));
}

/// The same for each window of a pooling, whose result is the correlation's `out`: outputs that are
/// the first elements of windows. Also what leads to the other elements.
template <class T>
ProductArgs<T> pooled_product_of(Correlation<T> c, const Pool2dShape& pool, PooledWindow* window) {
  const View4<const T>& x = c.source;
  const int64_t step_h = c.rows.stride, step_w = c.columns.stride;
  c.rows.first -= pool.pad_h * step_h;
  c.columns.first -= pool.pad_w * step_w;
  // From the first element of the first window to the last one of the last.
  const int64_t reach_h = (pool.out_h - 1) * pool.stride_h + (pool.kernel_h - 1) * pool.dilation_h;
  const int64_t reach_w = (pool.out_w - 1) * pool.stride_w + (pool.kernel_w - 1) * pool.dilation_w;
  const bool bounded =
      leads_out(c.rows, reach_h + 1, c.source_h) || leads_out(c.columns, reach_w + 1, c.source_w);
  window->outputs = Axis({c.batch}, {pool.out_h, 0, int32_t(pool.stride_h), 0},
                         {pool.out_w, 0, 0, int32_t(pool.stride_w)});
  window->outputs.begin_at({0, int32_t(-pool.pad_h), int32_t(-pool.pad_w)});
  window->out_h = int32_t(c.out_h);
  window->out_w = int32_t(c.out_w);
  window->height = int32_t(pool.kernel_h);
  window->width = int32_t(pool.kernel_w);
  window->step_h = int32_t(pool.dilation_h);
  window->step_w = int32_t(pool.dilation_w);
  window->down = first_place(pool.dilation_h * step_h, 0, x.h, x.w, bounded);
  window->right = first_place(0, pool.dilation_w * step_w, x.h, x.w, bounded);
  c.rows.stride *= pool.stride_h;
  c.columns.stride *= pool.stride_w;
  c.out_h = pool.out_h;
  c.out_w = pool.out_w;
  return product_of(c, bounded);
}

template <class T>
Correlation<T> forward_of(const Conv2dShape& s, const View4<const T>& x,
                          const View4<const T>& weight, const View4<T>& out) {
  return {s.batch,
          s.groups,
          s.group_out_channels(),
          s.group_in_channels(),
          x,
          weight,
          s.group_out_channels() * weight.n,
          out,
          s.in_h,
          s.in_w,
          s.out_h,
          s.out_w,
          forward_taps(s.kernel_h, s.stride_h, s.pad_top, s.dilation_h),
          forward_taps(s.kernel_w, s.stride_w, s.pad_left, s.dilation_w)};
}

/// The part of the gradient whose rows and columns leave these remainders by the strides.
template <class T>
Correlation<T> backward_input_of(const Conv2dShape& s, const View4<const T>& grad_out,
                                 const View4<const T>& weight, const View4<T>& grad_x, int64_t row,
                                 int64_t column) {
  const View4<const T> turned{weight.data, weight.c, weight.n, weight.h, weight.w};
  const View4<T> part{grad_x.data + row * grad_x.h + column * grad_x.w, grad_x.n, grad_x.c,
                      grad_x.h * s.stride_h, grad_x.w * s.stride_w};
  const auto count = [](int64_t size, int64_t first, int64_t stride) {
    return first < size ? ceil_div(size - first, stride) : 0;
  };
  return {s.batch,
          s.groups,
          s.group_in_channels(),
          s.group_out_channels(),
          grad_out,
          turned,
          s.group_out_channels() * weight.n,
          part,
          s.out_h,
          s.out_w,
          count(s.in_h, row, s.stride_h),
          count(s.in_w, column, s.stride_w),
          backward_taps(s.kernel_h, s.stride_h, s.pad_top, s.dilation_h, row),
          backward_taps(s.kernel_w, s.stride_w, s.pad_left, s.dilation_w, column)};
}

/// Whether windows lie side by side and cover the image, so that a pixel meets one tap: then all
/// parts of the gradient are alike.
inline bool tiles_image(const Conv2dShape& s) {
  const auto tiles = [](int64_t size, int64_t kernel, int64_t stride, int64_t dilation,
                        int64_t pad) {
    return kernel == stride && size % stride == 0 && (dilation == 1 || kernel == 1) && pad == 0;
  };
  return tiles(s.in_h, s.kernel_h, s.stride_h, s.dilation_h, s.pad_top + s.pad_bottom) &&
         tiles(s.in_w, s.kernel_w, s.stride_w, s.dilation_w, s.pad_left + s.pad_right);
}

/// Remainders of an input's position by the strides that taps lead to; the gradient of inputs of
/// other ones is zero. They are found by the taps, since a stride may be as large as an image.
struct MetRemainders {
  std::vector<int64_t> rows, columns;
  bool all;

  explicit MetRemainders(const Conv2dShape& s)
      : rows(of(s.kernel_h, s.stride_h, s.pad_top, s.dilation_h, s.in_h)),
        columns(of(s.kernel_w, s.stride_w, s.pad_left, s.dilation_w, s.in_w)),
        all(int64_t(rows.size()) == std::min(s.stride_h, s.in_h) &&
            int64_t(columns.size()) == std::min(s.stride_w, s.in_w)) {}

  /// Calls fn(row, column) for each pair.
  template <class Fn>
  void each(const Fn& fn) const {
    for (const int64_t row : rows) {
      for (const int64_t column : columns) fn(row, column);
    }
  }

 private:
  static std::vector<int64_t> of(int64_t kernel, int64_t stride, int64_t pad, int64_t dilation,
                                 int64_t size) {
    std::vector<int64_t> met;
    // Further taps have the same remainders again.
    for (int64_t tap = 0; tap < std::min(kernel, stride); ++tap) {
      const int64_t remainder = ((tap * dilation - pad) % stride + stride) % stride;
      if (remainder < size) met.push_back(remainder);
    }
    std::sort(met.begin(), met.end());
    met.erase(std::unique(met.begin(), met.end()), met.end());
    return met;
  }
};

/// Calls fn with products that together make the gradient of the input.
template <class T, class Fn>
void for_backward_input(const Conv2dShape& s, const View4<const T>& grad_out,
                        const View4<const T>& weight, const View4<T>& grad_x, const Fn& fn) {
  if (tiles_image(s)) {  // one product, of a batch of parts
    ProductArgs<T> args = product_of(backward_input_of(s, grad_out, weight, grad_x, 0, 0));
    args.batch.extents[0] = s.stride_h;
    args.batch.columns[0] = weight.h;
    args.batch.out[0] = grad_x.h;
    args.batch.extents[1] = s.stride_w;
    args.batch.columns[1] = weight.w;
    args.batch.out[1] = grad_x.w;
    return fn(args);
  }
  MetRemainders(s).each([&](int64_t row, int64_t column) {
    fn(product_of(backward_input_of(s, grad_out, weight, grad_x, row, column)));
  });
}

/// Rows: output channels; columns: input channels and taps; summed over images and pixels.
template <class T>
ProductArgs<T> backward_weight_of(const Conv2dShape& s, const View4<const T>& grad_out,
                                  const View4<const T>& x, const View4<T>& grad_weight) {
  const TapLine rows = forward_taps(s.kernel_h, s.stride_h, s.pad_top, s.dilation_h);
  const TapLine columns = forward_taps(s.kernel_w, s.stride_w, s.pad_left, s.dilation_w);
  const bool bounded = leads_out(rows, s.out_h, s.in_h) || leads_out(columns, s.out_w, s.in_w);
  const int64_t in = s.group_in_channels(), out = s.group_out_channels();
  const DigitOrder order = order_of(x, in);
  ProductArgs<T> args;
  args.rows.data = grad_out.data;
  args.rows.outer = Axis({out, grad_out.c});
  args.rows.sum = Axis({s.batch, grad_out.n}, {s.out_h, grad_out.h}, {s.out_w, grad_out.w});
  args.columns.data = x.data;
  args.columns.outer = order({in, x.c}, in_rows(s.kernel_h, s.dilation_h, x.h, bounded),
                             in_columns(s.kernel_w, s.dilation_w, x.w, bounded));
  args.columns.outer.begin_at(first_place(rows.first, columns.first, x.h, x.w, bounded));
  args.columns.sum = Axis({s.batch, x.n}, in_rows(s.out_h, s.stride_h, x.h, bounded),
                          in_columns(s.out_w, s.stride_w, x.w, bounded));
  bound(&args.columns, s.in_h, s.in_w, bounded);
  args.out = grad_weight.data;
  args.out_rows = Axis({out, grad_weight.n});
  args.out_columns =
      order({in, grad_weight.c}, {s.kernel_h, grad_weight.h}, {s.kernel_w, grad_weight.w});
  args.out_along_rows = false;
  args.batch.extents[2] = s.groups;
  args.batch.rows[2] = out * grad_out.c;
  args.batch.columns[2] = in * x.c;
  args.batch.out[2] = out * grad_weight.n;
  return args;
}

}  // namespace torchconv::cuda
