// Max-pooling, its gradient, and the gather that is the gradient of the gradient.
//
// An offset is kernel_row * kernel_w + kernel_col of the maximum. Taps of a window are visited in
// scan order, so that the first maximum wins and sums have one fixed order. NaN wins over every
// number, and the last NaN over the others. Lanes run along the channels where these are contiguous
// (max_pool2d_channels.h), else along rows (max_pool2d_rows.h, max_pool2d_rows_backward.h).

// Calls pool(args, image, channel, row, most) for a range of rows, counted over (image, channel,
// row). It works through at least one row of a plane, and at most so many, and returns their
// number.
template <class Args, class Rows>
inline void for_rows(const Args& args, int64_t height, int64_t begin, int64_t end, Rows* pool) {
  int64_t row = begin % height, channel = begin / height % args.shape.channels;
  int64_t image = begin / height / args.shape.channels;
  for (int64_t item = begin; item < end;) {
    const int64_t done = pool(args, image, channel, row, least(end - item, height - row));
    item += done;
    row += done;
    if (row < height) continue;
    row = 0;
    if (++channel < args.shape.channels) continue;
    channel = 0;
    ++image;
  }
}

template <class T, class Offset>
void max_pool2d(const Pool2dArgs<const T, T, Offset>& args, int64_t begin, int64_t end) {
  const Pool2dShape& s = args.shape;
  if (channels_contiguous(args)) {
    for (int64_t item = begin; item < end; ++item) {
      pool_row_of_channels<false>(args, item / s.out_h, item % s.out_h);
    }
    return;
  }
  const int64_t step = row_step(args), width = step == 0 ? 0 : s.kernel_w;
  for_rows(args, s.out_h, begin, end,
           step == 2 && width == 2   ? pool_row<false, 2, 2, T, T, Offset>
           : step == 2 && width == 3 ? pool_row<false, 3, 2, T, T, Offset>
           : step == 1 && width == 3 ? pool_row<false, 3, 1, T, T, Offset>
           : step == 2               ? pool_row<false, 0, 2, T, T, Offset>
           : step == 1               ? pool_row<false, 0, 1, T, T, Offset>
                                     : pool_row<false, 0, 0, T, T, Offset>);
}

template <class T, class Offset>
void max_pool2d_gather(const Pool2dArgs<const T, T, const Offset>& args, int64_t begin,
                       int64_t end) {
  const Pool2dShape& s = args.shape;
  if (channels_contiguous(args)) {
    for (int64_t item = begin; item < end; ++item) {
      pool_row_of_channels<true>(args, item / s.out_h, item % s.out_h);
    }
  } else {
    for_rows(args, s.out_h, begin, end, pool_row<true, 0, 0, T, T, const Offset>);
  }
}

template <class T, class Offset>
void max_pool2d_backward(const Pool2dArgs<T, const T, const Offset>& args, int64_t begin,
                         int64_t end) {
  const Pool2dShape& s = args.shape;
  if (channels_contiguous(args)) {
    for (int64_t item = begin; item < end; ++item) {
      pool_backward_row_of_channels(args, item / s.in_h, item % s.in_h);
    }
  } else {
    for_rows(args, s.in_h, begin, end,
             are_quads(args) ? pool_backward_quads<T, Offset> : pool_backward_row<T, Offset>);
  }
}
