// Vectors of channels that follow each other in memory: how they are numbered, loaded, and how
// weights are laid out for them.
#pragma once

#include "cuda/direct_tile.cuh"

namespace torchconv::cuda {

/// Numbers pixels and vectors of `lanes` channels so that neighbouring threads have neighbouring
/// vectors, but a block of threads has a patch of pixels, which share what they read in the L1
/// cache: the vectors of a pixel are cut into slabs of some 128 bytes.
template <class T, int lanes>
struct Slabs {
  static constexpr int32_t kMostWidth = 128 / (lanes * int(sizeof(T)));

  struct Place {
    int32_t image, row, col, channel;
  };

  Slabs(int32_t channels, int32_t rows, int32_t cols)
      : width(width_of(ceil_div(channels, lanes))),
        slabs(ceil_div(channels, lanes * width)),
        split(rows, cols, width) {}

  int64_t items(int64_t batch) const { return split.items(batch * slabs.divisor()); }

  /// The first channel of a place may lie behind the last one.
  TORCHCONV_ANYWHERE Place operator()(int64_t item) const {
    auto [image, row, col, vector] = split(item);
    const int32_t slab = slabs.divide(&image);
    return {image, row, col, (slab * width + vector) * lanes};
  }

  int32_t width;  // vectors of a slab
  Divider<int32_t> slabs;
  Split4<int32_t> split;

 private:
  /// A part of all vectors, if there is one that is not much narrower than the widest.
  static int32_t width_of(int32_t vectors) {
    if (vectors <= kMostWidth) return vectors;
    for (int32_t width = kMostWidth; width > kMostWidth / 2; --width) {
      if (vectors % width == 0) return width;
    }
    return kMostWidth;
  }
};

/// Whether all vectors of `lanes` channels of a tensor are whole and aligned.
template <class T>
bool whole_vectors(const Places<T, int64_t>& places, int64_t channels, int lanes) {
  const auto divides = [&](int64_t number) { return number % lanes == 0; };
  return places.c == 1 && divides(channels) && divides(places.n) && divides(places.h) &&
         divides(places.w) && reinterpret_cast<uintptr_t>(places.data) % (lanes * sizeof(T)) == 0;
}

/// Copies weights to [channel of source in the group][tap row][tap column][channel of dest], with
/// zeros up to a whole vector.
template <class T>
struct TurnWeights {
  DirectArgs<T, T, int64_t> args;
  T* to;
  Split4<int64_t> split;
  Divider<int64_t> group_dest;

  TurnWeights(const DirectArgs<T, T, int64_t>& args, T* to, int64_t channels)
      : args(args),
        to(to),
        split(args.rows.taps, args.cols.taps, channels),
        group_dest(args.group_dest) {}

  TORCHCONV_ANYWHERE void operator()(int64_t item) const {
    const auto [source, row, col, channel] = split(item);
    int64_t group = channel;
    const int64_t dest = group_dest.divide(&group);
    const DirectWeights<T, int64_t>& w = args.weight;
    to[item] = channel < args.channels ? w.data[group * w.group + dest * w.dest +
                                                source * w.source + row * w.row + col * w.col]
                                       : T{};
  }
};

/// The same convolution with turned weights, which lie in `memory`.
template <class T>
DirectArgs<T, T, int64_t> with_turned_weights(const at::Tensor& on, std::shared_ptr<void>* memory,
                                              DirectArgs<T, T, int64_t> args) {
  const int64_t channels = ceil_div<int64_t>(args.channels, kVector<T>) * kVector<T>;
  const int64_t elements = args.group_source * args.rows.taps * args.cols.taps * channels;
  *memory = scratch_on(on, elements * int64_t(sizeof(T)));
  T* const to = static_cast<T*>(memory->get());
  const TurnWeights<T> turn(args, to, channels);
  launch(on, turn, turn.split.items(args.group_source));
  args.weight = {to,
                 args.group_dest,
                 1,
                 args.rows.taps * args.cols.taps * channels,
                 args.cols.taps * channels,
                 channels};
  return args;
}

}  // namespace torchconv::cuda
