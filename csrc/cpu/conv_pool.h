// A convolution and the pooling of its output, or the gradients of both, through portions of the
// images: what lies between the two is made in scratch that stays in a cache, and is used up at
// once.
#pragma once

#include "conv2d_act_pool_checks.h"
#include "cpu/conv2d.h"
#include "cpu/max_pool2d.h"
#include "cpu/portions.h"

namespace torchconv {

using ConvPool = ConvPoolShape<int64_t>;

inline WindowLine conv_rows(const ConvPool& s) {
  return {s.conv.kernel_h, s.conv.stride_h, s.conv.pad_top, s.conv.dilation_h};
}
inline WindowLine pool_rows(const ConvPool& s) {
  return {s.pool.kernel_h, s.pool.stride_h, s.pool.pad_h, s.pool.dilation_h};
}

/// The convolution of some images that reads the rows `in` and makes the rows `out`.
inline Conv2dShape conv_of(const ConvPool& s, int64_t images, int64_t in, int64_t out,
                           int64_t pad) {
  Conv2dShape conv = s.conv;
  conv.batch = images;
  conv.in_h = in;
  conv.out_h = out;
  conv.pad_top = pad;
  return conv;
}
/// The same of the pooling.
inline Pool2dShape pool_of(const ConvPool& s, int64_t images, int64_t in, int64_t out,
                           int64_t pad) {
  Pool2dShape pool = s.pool;
  pool.batch = images;
  pool.in_h = in;
  pool.out_h = out;
  pool.pad_h = pad;
  return pool;
}

template <class T>
View4<T> part(View4<T> view, RowRange images, RowRange rows) {
  if (view.data != nullptr) view.data += images.first * view.n + rows.first * view.h;
  return view;
}

template <class T>
View4<const T> constant(const View4<T>& v) {
  return {v.data, v.n, v.c, v.h, v.w};
}

/// Rows of the convolution's output, or of its gradient, as they lie in scratch.
struct ConvRows {
  static constexpr int64_t kApart = 16;

  int64_t channels, width;
  bool channels_last;

  ConvRows(const ConvPool& s, at::MemoryFormat format)
      : channels(s.conv.out_channels),
        width(s.conv.out_w),
        channels_last(format == at::MemoryFormat::ChannelsLast) {}

  ConvRows of_channels(int64_t some) const {
    ConvRows rows = *this;
    rows.channels = some;
    return rows;
  }
  /// From one channel to the next, so that these do not all meet in the same places of a cache.
  int64_t plane(int64_t rows) const {
    return rows * width + (rows * width % 512 == 0 ? kApart : 0);
  }
  /// Enough for so many rows or less.
  int64_t elements(int64_t rows) const { return channels * (rows * width + kApart); }
  template <class T>
  View4<T> view(T* data, int64_t rows) const {
    if (channels_last) return {data, rows * width * channels, 1, width * channels, channels};
    return {data, channels * plane(rows), plane(rows), width, 1};
  }
};

/// Bytes of one row, of all channels of an image.
inline double bytes_of_row(const ConvPool& s, const at::Tensor& like) {
  return static_cast<double>(s.conv.out_channels) * s.conv.out_w * like.element_size();
}

/// Works through portions: each by one thread, which finds the weights still packed that it has
/// used before, or, where they are so few that threads would be idle, one after the other by all
/// threads.
///
/// rows(portion): how many the convolution has there.
/// work(portion, data, machine, keeps): that of the convolution, on such rows at `data`; keeps says
/// whether packed weights serve the next portion.
/// step(portion, data, convolve): the whole, where convolve() does this work.
template <class T, class Rows, class Work, class Step>
void for_portions(const Portions& portions, const ConvRows& layout, const Rows& rows,
                  const Work& work, const Step& step) {
  const int64_t count = portions.count();
  const bool shared = !portions.fill(at::get_num_threads());
  Machine machine = torchconv::machine<T>();
  if (!shared) machine.threads = 1;
  int64_t elements = 0, kernel_bytes = 0;
  for (int64_t i = 0; i < count; ++i) {
    const Portion portion = portions[i];
    const int64_t some = rows(portion);
    elements = std::max(elements, portion.images.count * layout.elements(some));
    if (!shared && some > 0) {
      kernel_bytes = std::max(kernel_bytes, work(portion, nullptr, machine, true).scratch_bytes);
    }
  }
  kernel_bytes = std::max(kPackedBytes, cache_lines(kernel_bytes));
  const auto run = [&](int64_t begin, int64_t end, void* scratch) {
    T* const data = reinterpret_cast<T*>(static_cast<char*>(scratch) + kernel_bytes);
    forget_weights(scratch);
    for (int64_t i = begin; i < end; ++i) {
      step(portions[i], data, [&] {
        const Conv2dWork conv = work(portions[i], data, machine, !shared);
        shared ? compute(conv) : conv.run(0, conv.items, scratch);
      });
    }
  };
  const int64_t bytes = kernel_bytes + elements * int64_t(sizeof(T));
  if (shared) return run(0, count, empty_scratch(1, bytes).data_ptr());
  constexpr double kWorthAThreadEach = 1e9;
  parallel_with_scratch(count, kWorthAThreadEach, bytes, run);
}

}  // namespace torchconv
