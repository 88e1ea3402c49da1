// The kernels of relu and its gradient.
#include <algorithm>

#include "cuda/each_type.h"
#include "cuda/elementwise.cuh"
#include "cuda/relu.h"

namespace torchconv::cuda {
namespace {

/// max(x, 0); NaN stays NaN.
struct Relu {
  template <class Acc, class T>
  TORCHCONV_ANYWHERE static Acc of(const Acc (&in)[1], T) {
    return in[0] < Acc(0) ? Acc(0) : in[0];
  }
};

/// The rows of a mask in pieces of `width` elements, the last of a row perhaps shorter.
struct Pieces {
  int64_t row;  // elements
  int width;
  int64_t number;
  Divider<int64_t> row_pieces;

  Pieces(int64_t elements, int64_t rows, int width)
      : row(elements / rows),
        width(width),
        number(ceil_div<int64_t>(row, width) * rows),
        row_pieces(std::max<int64_t>(ceil_div<int64_t>(row, width), 1)) {}

  /// A piece: its first element among all, the first of its row, and how many it has.
  struct Piece {
    int64_t first, in_row, row;
    int count;
  };
  TORCHCONV_ANYWHERE Piece operator()(int64_t i) const {
    if (i >= number) return {0, 0, 0, 0};
    const int64_t begin = width * row_pieces.divide(&i);
    const int64_t left = row - begin;
    return {i * row + begin, begin, i, left < width ? int(left) : width};
  }
};

/// Also the mask, which is 0 where x <= 0. A byte of it is made of more elements than a thread can
/// store at a time, and a warp that does not store whole cache lines is slow; so a block stores out
/// in its own order, and then finds what makes the bytes of the mask in the L1 cache.
template <class T>
struct ReluWithMask {
  static constexpr int kRuns = sizeof(T) < 8 ? 8 / sizeof(T) : 1;  // as many elements as for out
  using Out = Elementwise<T, Relu, 1>;

  Out out;
  Pieces octets;
  uint8_t* mask;

  int64_t items() const { return std::max(out.items(), spread_items(octets.number, kRuns)); }

  TORCHCONV_ANYWHERE void operator()(int64_t item) const {
    out(item);
    const T* from[kRuns];
    int there[kRuns];
    Run<T, 8> loaded[kRuns];
#pragma unroll
    for (int k = 0; k < kRuns; ++k) {
      const auto octet = octets(spread(item, k, kRuns));
      from[k] = out.in[0] + octet.first;
      there[k] = octet.count;
    }
    load_runs(from, 1, there, T{}, loaded);
#pragma unroll
    for (int k = 0; k < kRuns; ++k) {
      unsigned bits = 0;
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        bits |= unsigned(!(widen(loaded[k][i]) <= Accumulator<T>(0))) << i;
      }
      if (there[k] > 0) mask[spread(item, k, kRuns)] = uint8_t(bits);
    }
  }
};

/// grad_x = grad_out where the mask is 1, else 0. A vector has its bits in one byte.
template <class T>
struct ReluBackward {
  static constexpr int kVector = cuda::kVector<T>, kRuns = 4;
  static_assert(8 % kVector == 0);

  Pieces vectors;
  const T* grad_out;
  const uint8_t* mask;
  T* grad_x;

  int64_t items() const { return spread_items(vectors.number, kRuns); }

  TORCHCONV_ANYWHERE void operator()(int64_t item) const {
    const int64_t row_bytes = (vectors.row + 7) / 8;
    const T* from[kRuns];
    int there[kRuns], shift[kRuns];
    unsigned byte[kRuns];
    Run<T, kVector> run[kRuns];
#pragma unroll
    for (int k = 0; k < kRuns; ++k) {
      const auto vector = vectors(spread(item, k, kRuns));
      from[k] = grad_out + vector.first;
      there[k] = vector.count;
      shift[k] = int(vector.in_row % 8);
      byte[k] = vector.count > 0 ? mask[vector.row * row_bytes + vector.in_row / 8] : 0;
    }
    load_runs(from, 1, there, T{}, run);
#pragma unroll
    for (int k = 0; k < kRuns; ++k) {
      const unsigned bits = byte[k] >> shift[k];
      T results[kVector];
#pragma unroll
      for (int i = 0; i < kVector; ++i) results[i] = bits >> i & 1 ? run[k][i] : T{};
      store_run(grad_x + (from[k] - grad_out), 1, there[k], results);
    }
  }
};

}  // namespace

template <class T>
void launch_relu(const at::Tensor& on, const T* x, T* out, int64_t elements) {
  launch_elementwise<Relu, T, 1>(on, {x}, out, elements);
}

template <class T>
void launch_relu_with_mask(const at::Tensor& on, const T* x, T* out, uint8_t* mask,
                           int64_t elements, int64_t rows) {
  const ReluWithMask<T> body{{{x}, out, elements}, {elements, rows, 8}, mask};
  launch(on, body, body.items());
}

template <class T>
void launch_relu_backward(const at::Tensor& on, const T* grad_out, const uint8_t* mask, T* grad_x,
                          int64_t elements, int64_t rows) {
  const ReluBackward<T> body{{elements, rows, kVector<T>}, grad_out, mask, grad_x};
  launch(on, body, body.items());
}

#define TORCHCONV_RELU(T)                                              \
  template void launch_relu(const at::Tensor&, const T*, T*, int64_t); \
  template void launch_relu_with_mask(const at::Tensor&, const T*, T*, uint8_t*, int64_t, int64_t);
#define TORCHCONV_RELU_BACKWARD(T)                                                             \
  template void launch_relu_backward(const at::Tensor&, const T*, const uint8_t*, T*, int64_t, \
                                     int64_t);

TORCHCONV_EACH_REAL(TORCHCONV_RELU)
TORCHCONV_EACH_FLOAT(TORCHCONV_RELU_BACKWARD)

}  // namespace torchconv::cuda
