// Tiles of dest under windows that the compiler knows: a thread loads the places of source that its
// tile meets, and finds the tap of each pair at compile time.
#pragma once

#include "cuda/direct_loads.cuh"

namespace torchconv::cuda {

/// A square window, with the step and phases of DirectLine.
template <int side, int step, int phases>
struct DirectWindow {
  static_assert(side % 2 == 1 && (step == 1 || phases == 1));
  static constexpr int kSide = side, kHalf = side / 2, kStep = step, kPhases = phases;

  /// Whether a line is this one. Under dilation neighbours of a tile lie as far apart as taps do,
  /// which takes windows without steps.
  template <class Line>
  static bool is(const Line& line) {
    return line.taps == side && line.step == step && line.phases == phases &&
           (line.apart == 1 || (step == 1 && phases == 1));
  }
};

/// `size` neighbours of dest in one dimension, and the places of source that they meet. The place
/// that the middle tap of the first neighbour means comes after kBefore others.
template <class W, int size>
struct Tile {
  static_assert(size * W::kStep % W::kPhases == 0);
  static constexpr int kBefore = W::kHalf / W::kPhases;
  static constexpr int kPlaces = kBefore + ((size - 1) * W::kStep + W::kHalf) / W::kPhases + 1;

  /// Whether a neighbour meets any place at a tap, and which one.
  TORCHCONV_ANYWHERE static constexpr bool meets(int neighbour, int tap) {
    return (neighbour * W::kStep + tap - W::kHalf) % W::kPhases == 0;
  }
  TORCHCONV_ANYWHERE static constexpr int place(int neighbour, int tap) {
    return (neighbour * W::kStep + tap - W::kHalf) / W::kPhases + kBefore;
  }

  /// The tap at which a neighbour meets a place, if it is one: 0 <= tap < side.
  TORCHCONV_ANYWHERE static constexpr int tap(int neighbour, int place) {
    return (place - kBefore) * W::kPhases - neighbour * W::kStep + W::kHalf;
  }
};

/// Where a tile begins, in dest (perhaps a place before it, so that all tiles have the same phase),
/// and in source.
struct TileStart {
  int32_t dest, source;
};

/// The tiles of a line.
template <class W, int size>
class TileLine {
 public:
  explicit TileLine(const DirectLine<int64_t>& line)
      : apart_(int32_t(line.apart)), middle_(int32_t(line.first + W::kHalf * line.apart)) {
    before_ = (middle_ % W::kPhases + W::kPhases) % W::kPhases;
    tiles_ = line.apart * ceil_div<int64_t>(ceil_div(line.dest + before_, line.apart), size);
    if (line.apart > line.dest) tiles_ = line.dest;  // each has a single place
  }

  TORCHCONV_ANYWHERE TileStart operator()(int32_t tile) const {
    if constexpr (W::kStep == 1 && W::kPhases == 1) {
      const int32_t phase = apart_.divide(&tile);
      const int32_t dest = tile * size * apart_.divisor() + phase;
      return {dest, dest + middle_};
    } else {
      const int32_t dest = tile * size - before_;
      return {dest, (dest * W::kStep + middle_) / W::kPhases};
    }
  }

  TORCHCONV_ANYWHERE int32_t apart() const { return apart_.divisor(); }
  int64_t tiles() const { return tiles_; }
  int32_t before() const { return before_; }

 private:
  Divider<int32_t> apart_;
  int32_t middle_, before_;
  int64_t tiles_;
};

/// The largest windows that kernels of a type are compiled for: few networks compute in float64.
template <class T>
constexpr int kMostSide = sizeof(T) > 4 ? 3 : 7;

/// Calls run(W()) for the known window that both lines are; returns whether there is one.
template <class T, class W, class Line, class Run>
bool run_if(const Line& rows, const Line& cols, const Run& run) {
  if constexpr (W::kSide <= kMostSide<T>) {
    if (W::is(rows) && W::is(cols)) {
      run(W());
      return true;
    }
  }
  return false;
}
template <class T, class Line, class Run>
bool with_stepping_window(const Line& rows, const Line& cols, const Run& run) {
  return run_if<T, DirectWindow<3, 1, 1>>(rows, cols, run) ||
         run_if<T, DirectWindow<5, 1, 1>>(rows, cols, run) ||
         run_if<T, DirectWindow<7, 1, 1>>(rows, cols, run) ||
         run_if<T, DirectWindow<3, 2, 1>>(rows, cols, run) ||
         run_if<T, DirectWindow<5, 2, 1>>(rows, cols, run);
}
template <class T, class Line, class Run>
bool with_any_window(const Line& rows, const Line& cols, const Run& run) {
  return with_stepping_window<T>(rows, cols, run) ||
         run_if<T, DirectWindow<3, 1, 2>>(rows, cols, run) ||
         run_if<T, DirectWindow<5, 1, 2>>(rows, cols, run);
}

}  // namespace torchconv::cuda
