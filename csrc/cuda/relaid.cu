// Images in another order, by tiles of channels and pixels that pass through shared memory: a warp
// reads neighbours, and writes neighbours, of two bytes two at a time where it can.
#include "cuda/relaid.h"

#include "cuda/arithmetic.cuh"
#include "cuda/block.cuh"
#include "cuda/runs.cuh"
#include "cuda/split_float.cuh"

namespace torchconv::cuda {
namespace {

/// `lower`: if it is not zero, the parts of split numbers are written, the lower ones so much
/// further on.
template <class T, int in_pack>
struct Relay {
  static constexpr int kTile = 64, kThreads = 256, kBlocksAtOnce = 4;
  static constexpr int kPitch = kTile + 4 / int(sizeof(T));  // so that a column has many banks
  static constexpr int kSharedBytes = kTile * kPitch * int(sizeof(T));

  View4<const T> from;
  View4<T> to;
  int32_t channels, pixels, batch;          // pixels: of a copy
  int32_t from_width, first, step, stride;  // of tap columns
  Divider<int32_t> width;
  Split4<int64_t> tiles;  // of images: tiles of channels, of pixels
  int64_t all_tiles, lower;

  Relay(const View4<const T>& from_, const View4<T>& to_, const ImageSizes& s,
        const TapColumns& columns, int64_t lower_)
      : from(from_),
        to(to_),
        channels(int32_t(s.channels)),
        pixels(int32_t(s.height * columns.width)),
        batch(int32_t(s.batch)),
        from_width(int32_t(s.width)),
        first(int32_t(columns.first)),
        step(int32_t(columns.step)),
        stride(int32_t(columns.stride)),
        width(int32_t(columns.width)),
        tiles(1, ceil_div<int64_t>(channels, kTile), ceil_div<int64_t>(pixels, kTile)),
        all_tiles(tiles.items(columns.count * s.batch)),
        lower(lower_) {}

  TORCHCONV_ANYWHERE void operator()(const Block& block) const {
    for (int64_t number = block.number; number < all_tiles; number += block.blocks) {
      const auto tile = tiles(number);
      const int channel = int(tile.third) * kTile, pixel = int(tile.last) * kTile;
      const int64_t tap = tile.first / batch, image = tile.first - tap * batch;
      T* const shared = reinterpret_cast<T*>(block.shared);
      const T* const source = from.data + image * from.n;
      const int begin = first + int(tap) * step;
      const auto source_offset = [&](int32_t at) {
        const int32_t column = width.divide(&at) * stride + begin;
        if (uint32_t(column) >= uint32_t(from_width)) return kBeside;
        return at * from.h + column * from.w;
      };
      for_elements(from, source_offset, block.thread, channel, pixel,
                   [&](int at, int next, int64_t offset) {
                     Elements some{};
                     if (offset >= 0) some = *reinterpret_cast<const Elements*>(source + offset);
#pragma unroll
                     for (int i = 0; i < in_pack; ++i) shared[at + i * next] = some.elements[i];
                   });
      sync_block();
      T* const result = to.data + tile.first * to.n;
      const auto result_offset = [&](int32_t at) {
        const int32_t column = width.divide(&at);
        return at * to.h + column * to.w;
      };
      for_elements(to, result_offset, block.thread, channel, pixel,
                   [&](int at, int next, int64_t offset) {
                     Elements some;
#pragma unroll
                     for (int i = 0; i < in_pack; ++i) some.elements[i] = shared[at + i * next];
                     write(result + offset, some);
                   });
      sync_block();
    }
  }

 private:
  using Elements = Pack<T, in_pack>;
  static_assert(in_pack == 1 || !std::is_same_v<T, float>);
  static constexpr int64_t kBeside = INT64_MIN;  // whatever is added to it

  TORCHCONV_ANYWHERE void write(T* result, const Elements& some) const {
    if constexpr (std::is_same_v<T, float>) {
      if (lower != 0) {
        const SplitFloat both = split(some.elements[0]);
        *result = both.upper;
        result[lower] = both.lower;
        return;
      }
    }
    *reinterpret_cast<Elements*>(result) = some;
  }

  /// Calls fn with a place in shared memory, the step to the next element of a pack there, and the
  /// pack's offset in an image: those of one thread, whose neighbours have neighbours.
  template <class X, class OffsetOf, class Fn>
  TORCHCONV_ANYWHERE void for_elements(const View4<X>& view, const OffsetOf& offset_of, int thread,
                                       int channel, int pixel, const Fn& fn) const {
    constexpr int kPacks = kTile / in_pack, kStep = kThreads / kPacks;
    const int along = thread % kPacks * in_pack, across = thread / kPacks;
    if (view.c == 1) {
      if (channel + along >= channels) return;
#pragma unroll 8
      for (int i = across; i < kTile; i += kStep) {
        if (pixel + i < pixels) {
          fn(i * kPitch + along, 1, offset_of(pixel + i) + channel + along);
        }
      }
    } else {
      if (pixel + along >= pixels) return;
      const int64_t offset = offset_of(pixel + along);
#pragma unroll 8
      for (int i = across; i < kTile; i += kStep) {
        if (channel + i < channels) {
          fn(along * kPitch + i, kPitch, offset + (channel + i) * view.c);
        }
      }
    }
  }
};

/// Whether neighbours come in aligned pairs.
template <class X>
bool has_pairs(const View4<X>& view, const ImageSizes& s) {
  const auto even = [](int64_t size, int64_t step) { return size == 1 || step % 2 == 0; };
  if (reinterpret_cast<uintptr_t>(view.data) % 4 != 0 || !even(s.batch, view.n)) return false;
  if (view.c == 1) {
    return s.channels % 2 == 0 && even(s.height, view.h) && even(s.width, view.w);
  }
  return view.w == 1 && s.width % 2 == 0 && even(s.height, view.h) && even(s.channels, view.c);
}

}  // namespace

template <class T>
std::shared_ptr<void> Relaid<T>::copy(const at::Tensor& on) const {
  const auto memory = scratch_on(on, bytes_);
  const View4<T> to{static_cast<T*>(memory.get()), view_.n, view_.c, view_.h, view_.w};
  const auto start = [&](const auto& body) { launch_blocks(on, body, body.all_tiles); };
  if constexpr (sizeof(T) == 2) {
    if (columns_.plain(sizes_.width) && has_pairs(from_, sizes_) && has_pairs(to, sizes_)) {
      start(Relay<T, 2>(from_, to, sizes_, columns_, lower_));
      return memory;
    }
  }
  start(Relay<T, 1>(from_, to, sizes_, columns_, lower_));
  return memory;
}

template class Relaid<float>;
template class Relaid<bf16>;
template class Relaid<f16>;

}  // namespace torchconv::cuda
