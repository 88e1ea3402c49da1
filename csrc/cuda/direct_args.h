// What direct kernels of a convolution are told. conv2d and the gradient of its input are the same
// sum, dest = Σ taps · source, and the gradient of its weight sums the same pairs of elements.
// Index is int32_t where every number fits, since a GPU computes 64 bits piece by piece.
#pragma once

#include <algorithm>
#include <cstdlib>

#include "shapes.h"
#include "views.h"

namespace torchconv::cuda {

/// One dimension. Element d of dest meets tap k at element (d · step + first + k · apart) / phases
/// of source, if that is a whole number: conv2d has steps, the gradient of its input has phases.
template <class Index>
struct DirectLine {
  Index source, dest;  // sizes
  Index step, phases;
  Index taps, apart, first;

  template <class To>
  DirectLine<To> as() const {
    return {To(source), To(dest), To(step), To(phases), To(taps), To(apart), To(first)};
  }
};

/// A four-dimensional tensor. The stride of a dimension of size 1 may be any number, and becomes 0.
template <class T, class Index>
struct Places {
  T* data;
  Index n, c, h, w;

  template <class To>
  Places<T, To> as() const {
    return {data, To(n), To(c), To(h), To(w)};
  }

  /// A place, counted in elements from the first one.
  TORCHCONV_ANYWHERE Index offset(Index image, Index channel, Index row, Index col) const {
    return image * n + channel * c + row * h + col * w;
  }
};

/// The weights, as dest sees them: by group, channel of dest and of source in the group, and tap.
template <class T, class Index>
struct DirectWeights {
  const T* data;
  Index group, dest, source, row, col;

  template <class To>
  DirectWeights<T, To> as() const {
    return {data, To(group), To(dest), To(source), To(row), To(col)};
  }
};

/// Dest is T, or const T where dest is read for the gradient of the weight.
template <class T, class Dest, class Index>
struct DirectArgs {
  Index batch, channels;           // of dest
  Index group_dest, group_source;  // channels of a group
  DirectLine<Index> rows, cols;
  Places<const T, Index> source;
  Places<Dest, Index> dest;
  DirectWeights<T, Index> weight;
  const T* bias;
  Index bias_step;

  template <class To>
  DirectArgs<T, Dest, To> as() const {
    return {To(batch),
            To(channels),
            To(group_dest),
            To(group_source),
            rows.template as<To>(),
            cols.template as<To>(),
            source.template as<To>(),
            dest.template as<To>(),
            weight.template as<To>(),
            bias,
            To(bias_step)};
  }

  /// Each channel of dest reads one of source, that of its own number.
  TORCHCONV_ANYWHERE bool depthwise() const { return group_dest == 1 && group_source == 1; }
};

/// Whether channels follow each other in memory, so that lanes should run along them.
template <class T, class Dest>
bool channels_adjoin(const DirectArgs<T, Dest, int64_t>& args) {
  const int64_t sources = args.channels / args.group_dest * args.group_source;
  return args.channels > 1 && args.dest.c == 1 && (args.source.c == 1 || sources == 1);
}

/// Whether every number that kernels compute fits into 32 bits: places, which reach over the padded
/// image and, for lanes that do not exist, a few steps further; places in memory; and items, of
/// which up to a half may be outside of the image.
template <class T, class Dest>
bool fits_in_32_bits(const DirectArgs<T, Dest, int64_t>& args) {
  constexpr int64_t kMostSize = int64_t(1) << 26, kMostReach = int64_t(1) << 30;
  const auto small = [](const DirectLine<int64_t>& line) {
    return std::max({line.source, line.dest, line.step, line.phases, line.taps, line.apart,
                     (line.taps - 1) * line.apart, line.first, -line.first}) <= kMostSize &&
           line.dest * line.step <= kMostSize;
  };
  // How far from the first place kernels may go.
  const auto reach = [](const DirectLine<int64_t>& line) {
    return line.source + line.dest * line.step + std::abs(line.first) +
           (line.taps + 8) * line.apart + 8 * line.step;
  };
  const int64_t sources = args.channels / args.group_dest * args.group_source;
  if (!small(args.rows) || !small(args.cols)) return false;
  if (std::max({args.batch, args.channels, sources}) > kMostSize) return false;
  const auto reaches = [&](const auto& places, int64_t channels) {
    return args.batch * places.n + channels * places.c + reach(args.rows) * places.h +
               reach(args.cols) * places.w <=
           kMostReach;
  };
  const auto most = [](double a, double b, double c, double d) {
    return a * b * c * d <= double(kMostReach / 2);
  };
  const DirectWeights<T, int64_t>& w = args.weight;
  return reaches(args.source, sources) && reaches(args.dest, args.channels) &&
         most(args.batch, args.channels, args.rows.dest, args.cols.dest) &&
         most(args.channels, args.group_source, args.rows.taps, args.cols.taps) &&
         args.channels / args.group_dest * w.group + args.group_dest * w.dest +
                 args.group_source * w.source + args.rows.taps * std::abs(w.row) +
                 args.cols.taps * std::abs(w.col) + args.channels * args.bias_step <=
             kMostReach;
}

}  // namespace torchconv::cuda
