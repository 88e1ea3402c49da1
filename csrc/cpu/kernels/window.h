// Where a window of a convolution or a pooling lies inside the image.

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
