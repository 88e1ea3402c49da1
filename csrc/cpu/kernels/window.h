// Where a window of a convolution or a pooling lies inside the image.

inline bool within(int64_t position, int64_t size) { return position >= 0 && position < size; }

// Output positions [first, last), in one dimension, at which a tap reads inside the input.
struct Inside {
  int64_t first, last;
};
