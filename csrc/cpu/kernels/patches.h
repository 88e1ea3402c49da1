// The matrices that turn a convolution into a matrix product, read straight from the tensor and
// never stored: "im2col" inside the packing of one tile. A tap is (channel, kernel row, kernel
// column), counted in that order; a pixel is (row, column) of the plane.

struct Tap {
  int64_t channel, row, col;
};
inline Tap tap_at(const Conv2dShape& s, int64_t index) {
  const int64_t area = s.kernel_h * s.kernel_w;
  return {index / area, index % area / s.kernel_w, index % s.kernel_w};
}
inline void advance(const Conv2dShape& s, Tap* tap) {
  if (++tap->col < s.kernel_w) return;
  tap->col = 0;
  if (++tap->row < s.kernel_h) return;
  tap->row = 0;
  ++tap->channel;
}

inline Inside output_columns(const Conv2dShape& s, int64_t kernel_col) {
  return tap_inside(kernel_col, s.in_w, s.out_w, s.stride_w, s.pad_left, s.dilation_w);
}

// x at one tap, for output pixels [col, col + n) of one output row; zero in the padding.
template <class T, class P>
inline void copy_patch_row(const Conv2dShape& s, const View4<const T>& x, const T* plane,
                           const Tap& tap, const Inside& inside, int64_t row, int64_t col,
                           int64_t n, P* out, int64_t out_stride) {
  const int64_t in_row = row * s.stride_h - s.pad_top + tap.row * s.dilation_h;
  int64_t first = clamp(inside.first - col, 0, n), last = clamp(inside.last - col, 0, n);
  if (in_row < 0 || in_row >= s.in_h || first >= last) first = last = n;
  fill_zero(out, out_stride, first);
  if (first < last) {
    const int64_t in_col = (col + first) * s.stride_w - s.pad_left + tap.col * s.dilation_w;
    copy_run(plane + tap.channel * x.c + in_row * x.h + in_col * x.w, s.stride_w * x.w,
             out + first * out_stride, out_stride, last - first);
  }
  fill_zero(out + last * out_stride, out_stride, n - last);
}

// Element (pixel, tap) of one image: conv2d's operand.
template <class T>
struct PatchesByPixel {
  const Conv2dShape& shape;
  const View4<const T>& x;
  const T* image;  // first channel of the group

  template <class P>
  void pack(int64_t first, int64_t count, int64_t k, int64_t depth, P* panel, int64_t width) const {
    Tap tap = tap_at(shape, k);
    for (int64_t j = 0; j < depth; ++j, advance(shape, &tap)) {
      const Inside inside = output_columns(shape, tap.col);
      int64_t row = first / shape.out_w, col = first % shape.out_w;
      for (int64_t i = 0; i < count; ++row, col = 0) {
        const int64_t n = least(count - i, shape.out_w - col);
        copy_patch_row(shape, x, image, tap, inside, row, col, n, panel + j * width + i, 1);
        i += n;
      }
    }
  }
};

// Element (tap, output pixel of the whole batch): the weight gradient's operand.
template <class T>
struct PatchesByTap {
  const Conv2dShape& shape;
  const View4<const T>& x;
  const T* batch;  // first channel of the group in the first image

  template <class P>
  void pack(int64_t first, int64_t count, int64_t k, int64_t depth, P* panel, int64_t width) const {
    const int64_t area = shape.out_h * shape.out_w;
    Tap tap = tap_at(shape, first);
    for (int64_t i = 0; i < count; ++i, advance(shape, &tap)) {
      const Inside inside = output_columns(shape, tap.col);
      int64_t image = k / area, row = k % area / shape.out_w, col = k % shape.out_w;
      for (int64_t j = 0; j < depth; col = 0) {
        const int64_t n = least(depth - j, shape.out_w - col);
        copy_patch_row(shape, x, batch + image * x.n, tap, inside, row, col, n,
                       panel + j * width + i, width);
        j += n;
        if (++row == shape.out_h) {
          row = 0;
          ++image;
        }
      }
    }
  }
};

// Element (input pixel, tap of grad_out): the input gradient's operand. Input pixel (row, col)
// meets grad_out at ((row + pad - kernel_row · dilation) / stride, …) where that is a whole number.
template <class T>
struct GradientPatches {
  const Conv2dShape& shape;
  const View4<const T>& grad_out;
  const T* image;  // first output channel of the group

  template <class P>
  void pack(int64_t first, int64_t count, int64_t k, int64_t depth, P* panel, int64_t width) const {
    Tap tap = tap_at(shape, k);
    for (int64_t j = 0; j < depth; ++j, advance(shape, &tap)) {
      int64_t row = first / shape.in_w, col = first % shape.in_w;
      for (int64_t i = 0; i < count; ++row, col = 0) {
        const int64_t n = least(count - i, shape.in_w - col);
        copy_row(tap, row, col, n, panel + j * width + i);
        i += n;
      }
    }
  }

  template <class P>
  void copy_row(const Tap& tap, int64_t row, int64_t col, int64_t n, P* out) const {
    const Conv2dShape& s = shape;
    const int64_t shift_h = s.pad_top - tap.row * s.dilation_h;
    const int64_t shift_w = s.pad_left - tap.col * s.dilation_w;
    const int64_t out_row = floor_quotient(row + shift_h, s.stride_h);
    const bool row_meets =
        out_row >= 0 && out_row < s.out_h && out_row * s.stride_h == row + shift_h;
    // Output columns whose input column lies in [col, col + n).
    const int64_t first = clamp(ceil_quotient(col + shift_w, s.stride_w), 0, s.out_w);
    const int64_t last = clamp(floor_quotient(col + n - 1 + shift_w, s.stride_w) + 1, 0, s.out_w);
    const int64_t lead = first * s.stride_w - shift_w - col;  // columns before the first that meets
    if (!row_meets || first >= last) return fill_zero(out, 1, n);
    if (s.stride_w == 1) {
      fill_zero(out, 1, lead);
      fill_zero(out + lead + (last - first), 1, n - lead - (last - first));
    } else {
      fill_zero(out, 1, n);
    }
    copy_run(image + tap.channel * grad_out.c + out_row * grad_out.h + first * grad_out.w,
             grad_out.w, out + lead, s.stride_w, last - first);
  }
};
