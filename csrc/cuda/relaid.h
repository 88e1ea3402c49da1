// Copies of images and matrices in an order that the copy engine of a Hopper GPU can read: it wants
// neighbours along one dimension, and steps of multiples of 16 bytes along all others.
#pragma once

#include <algorithm>
#include <atomic>

#include "cuda/device.h"
#include "shapes.h"
#include "views.h"

namespace torchconv::cuda {

/// Copies of more bytes are made and read in portions of images. Tests make it small.
inline std::atomic<int64_t> most_copied_bytes{int64_t(1) << 30};

/// So many images are copied at a time, of some whose copies have so many bytes.
inline int64_t images_at_once(int64_t images, int64_t copied_bytes) {
  const int64_t portions = ceil_div<int64_t>(copied_bytes, most_copied_bytes);
  return std::max<int64_t>(images / std::max<int64_t>(portions, 1), 1);
}

/// Which elements of an image are neighbours: those of a pixel, or those of a row.
enum class ImageOrder { kChannels, kColumns };

/// Several copies of an image whose columns are neighbours, for the columns that taps read: the
/// t-th has at column j what the image has at j · stride + first + t · step, zeros included that
/// lie beside it.
struct TapColumns {
  int64_t count = 1, first = 0, step = 0, stride = 1, width = 0;  // width: of a copy

  /// Whether it is one that has the columns of an image of this width.
  bool plain(int64_t of) const { return count == 1 && first == 0 && stride == 1 && width == of; }
};

/// An image, or a matrix of channels and a width, in an order that can be read: itself, or a copy
/// of it that is made later; if it is to be split, a copy in which images with the lower parts
/// follow those with the upper ones. A copy for each tap column is such a copy of all images.
template <class T>
class Relaid {
 public:
  Relaid(const View4<const T>& image, const ImageSizes& sizes, ImageOrder order, bool split)
      : Relaid(image, sizes, order, split, {1, 0, 0, 1, sizes.width}) {}

  Relaid(const View4<const T>& image, const ImageSizes& of, ImageOrder order, bool split,
         const TapColumns& columns)
      : from_(image), view_(image), sizes_(of), columns_(columns) {
    const bool channels = order == ImageOrder::kChannels;
    if (columns.plain(of.width) && !split && can_be_read(image, channels)) return;
    ImageSizes sizes = of;
    sizes.width = columns.width;
    const int64_t line = ceil_div(channels ? sizes.channels : sizes.width, kRun) * kRun;
    const int64_t lines = sizes.batch * sizes.height * (channels ? sizes.width : sizes.channels);
    const int64_t row = channels ? sizes.width * line : line, plane = sizes.height * line;
    view_ = channels ? View4<const T>{nullptr, sizes.height * row, 1, row, line}
                     : View4<const T>{nullptr, sizes.channels * plane, plane, row, 1};
    tap_step_ = lines * line;
    lower_ = split ? columns.count * tap_step_ : 0;
    bytes_ = (split ? 2 : 1) * columns.count * tap_step_ * int64_t(sizeof(T));
  }

  /// A copy has no address yet.
  const View4<const T>& view() const { return view_; }
  /// From a copy for one tap column to the next.
  int64_t tap_step() const { return tap_step_; }
  /// Of all copies; 0 if there are none.
  int64_t bytes() const { return bytes_; }
  /// Makes the copy, on the device of a tensor.
  std::shared_ptr<void> copy(const at::Tensor& on) const;

 private:
  static constexpr int64_t kRun = 16 / int64_t(sizeof(T));

  View4<const T> from_, view_;
  ImageSizes sizes_;
  TapColumns columns_;
  int64_t bytes_ = 0, tap_step_ = 0, lower_ = 0;

  bool can_be_read(const View4<const T>& image, bool channels) const {
    const auto whole = [](int64_t size, int64_t step) { return size == 1 || step % kRun == 0; };
    const bool neighbours =
        (channels ? image.c : image.w) == 1 || (channels ? sizes_.channels : sizes_.width) == 1;
    return neighbours && reinterpret_cast<uintptr_t>(image.data) % 16 == 0 &&
           whole(sizes_.batch, image.n) && whole(sizes_.height, image.h) &&
           (channels ? whole(sizes_.width, image.w) : whole(sizes_.channels, image.c));
  }
};

}  // namespace torchconv::cuda
