// Where a window of a convolution or a pooling lies inside the image.

// a / b, rounded, for b > 0 up to the largest integer: a + b - 1 might not exist.
inline int64_t floor_quotient(int64_t a, int64_t b) { return b == 1 ? a : a / b - (a % b < 0); }
inline int64_t ceil_quotient(int64_t a, int64_t b) { return b == 1 ? a : a / b + (a % b > 0); }
inline int64_t clamp(int64_t value, int64_t low, int64_t high) {
  return value < low ? low : value > high ? high : value;
}
inline bool within(int64_t position, int64_t size) { return position >= 0 && position < size; }

// Output positions [first, last), in one dimension, at which a tap reads inside the input.
struct Inside {
  int64_t first, last;
};
inline Inside tap_inside(int64_t tap, int64_t in, int64_t out, int64_t stride, int64_t pad,
                         int64_t dilation) {
  const int64_t shift = pad - tap * dilation;  // input position = out · stride - shift
  return {clamp(ceil_quotient(shift, stride), 0, out),
          clamp(floor_quotient(in - 1 + shift, stride) + 1, 0, out)};
}
