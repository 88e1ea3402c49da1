// What pooling knows of its windows: which taps lie inside the image, what they have found, and
// which windows cover a place.

// What a maximum is before anything was seen: -inf, or the least integer.
template <class T>
constexpr bool kIsFloat = T(0.5) != 0;
template <class T>
constexpr Accumulator<T> lowest() {
  if constexpr (kIsFloat<Accumulator<T>>) {
    return Accumulator<T>(-__builtin_inf());
  } else {
    constexpr T sign_bit = T(T(1) << (8 * sizeof(T) - 1));
    return sign_bit < 0 ? sign_bit : T(0);
  }
}

// Taps [first, last) of a window that begins at `origin` which lie inside the image.
inline Inside taps_inside(int64_t origin, int64_t size, int64_t kernel, int64_t dilation) {
  if (origin >= 0 && origin + (kernel - 1) * dilation < size) return {0, kernel};
  const int64_t first = clamp(ceil_quotient(-origin, dilation), 0, kernel);
  return {first, clamp(floor_quotient(size - 1 - origin, dilation) + 1, first, kernel)};
}

// What kLanes windows have found.
template <class T>
struct Found {
  Vec<T> value;
  Vec<Bits<T>> offset;
};

// The largest of the taps [rows] x [cols], of which taps(i, j) loads one in each lane; lanes
// without it have the lowest value, which may be all there is, so `first` says which offset comes
// first. kRows, kCols: how many rows and columns of taps there are, or 0; kernel_w: the width of
// the window, by which offsets are counted.
template <int kRows, int kCols, class T, class Taps>
[[gnu::always_inline]] inline Found<Accumulator<T>> largest(const Taps& taps, Inside rows,
                                                            Inside cols, int64_t kernel_w,
                                                            Vec<Bits<Accumulator<T>>> first,
                                                            bool wants_offsets) {
  using Acc = Accumulator<T>;
  const int64_t height = kRows > 0 ? kRows : rows.last - rows.first;
  const int64_t width = kCols > 0 ? kCols : cols.last - cols.first;
  const Vec<Acc> lowest_value = broadcast(lowest<T>());
  Found<Acc> found = {lowest_value, first};
  Vec<Acc> sum = {};
#pragma GCC unroll 3
  for (int64_t i = 0; i < height; ++i) {
#pragma GCC unroll 3
    for (int64_t j = 0; j < width; ++j) {
      const Vec<Acc> v = taps(rows.first + i, cols.first + j);
      found.value = v > found.value ? v : found.value;
      if constexpr (kIsFloat<Acc>) sum += v;
    }
  }
  if constexpr (kIsFloat<Acc>) {
    if (any_nan(&sum, Acc())) {  // or infinities of both signs, which need no care but come along
      found.value = lowest_value;
      for (int64_t i = 0; i < height; ++i) {
        for (int64_t j = 0; j < width; ++j) {
          const Vec<Acc> v = taps(rows.first + i, cols.first + j);
          const Vec<Bits<Acc>> where = (v > found.value) | (v != v);
          const Bits<Acc> tap = (rows.first + i) * kernel_w + cols.first + j;
          found.value = where ? v : found.value;
          found.offset = select<Acc>(where, broadcast(tap), found.offset);
        }
      }
      return found;
    }
  }
  if (!wants_offsets) return found;
#pragma GCC unroll 3
  for (int64_t i = height - 1; i >= 0; --i) {
#pragma GCC unroll 3
    for (int64_t j = width - 1; j >= 0; --j) {  // backwards, so that the first one stays
      const Bits<Acc> tap = (rows.first + i) * kernel_w + cols.first + j;
      const Vec<Acc> v = taps(rows.first + i, cols.first + j);
      found.offset = select<Acc>(v == found.value, broadcast(tap), found.offset);
    }
  }
  found.offset = select<Acc>(found.value == lowest_value, first, found.offset);
  return found;
}

// max(value, 0); where that is zero, no tap is to get a gradient.
template <class T>
inline Found<T> rectified(const Found<T>& found) {
  const Vec<T> zero = {};
  const Vec<Bits<T>> none = ~Vec<Bits<T>>{};
  return {found.value < zero ? zero : found.value,
          select<T>(found.value <= zero, none, found.offset)};
}

// The taps that were chosen; zero where none of those inside the image was.
template <class T, class Taps>
[[gnu::always_inline]] inline Vec<Accumulator<T>> gathered(const Taps& taps, Inside rows,
                                                           Inside cols, int64_t kernel_w,
                                                           Vec<Bits<Accumulator<T>>> chosen) {
  using Acc = Accumulator<T>;
  Vec<Acc> value = {};
  for (int64_t i = rows.first; i < rows.last; ++i) {
    for (int64_t j = cols.first; j < cols.last; ++j) {
      value = chosen == Bits<Acc>(i * kernel_w + j) ? taps(i, j) : value;
    }
  }
  return value;
}

// The windows that cover a place of the image, in one dimension: it is `tap` of window `output`,
// and so on in steps, `count` times.
struct Covering {
  int64_t tap, tap_step, output, output_step, count;
};

inline Covering covering(int64_t place, int64_t out, int64_t kernel, int64_t stride, int64_t pad,
                         int64_t dilation) {
  const int64_t padded = place + pad;  // = output · stride + tap · dilation
  Covering c = {padded % stride, stride, padded / stride, 1, 0};
  if (dilation != 1) {
    const int64_t common = greatest_common_divisor(stride, dilation);
    c = {0, stride / common, 0, dilation / common, 0};
    const int64_t different = least(c.tap_step, kernel);
    while (c.tap < different && (padded - c.tap * dilation) % stride != 0) ++c.tap;
    if (c.tap == different) return c;
    c.output = floor_quotient(padded - c.tap * dilation, stride);
  }
  if (c.output >= out) {  // there are no windows that far
    const int64_t beyond = ceil_quotient(c.output - out + 1, c.output_step);
    c.tap += beyond * c.tap_step;
    c.output -= beyond * c.output_step;
  }
  if (c.tap < kernel && c.output >= 0) {
    c.count = 1 + least((kernel - 1 - c.tap) / c.tap_step, c.output / c.output_step);
  }
  return c;
}
