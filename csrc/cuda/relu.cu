// relu and its gradient on CUDA. The mask has a bit for each element: csrc/library.cpp.
#include <ATen/ops/empty.h>

#include <algorithm>

#include "activation_checks.h"
#include "cuda/elementwise.cuh"
#include "cuda/register.cuh"
#include "typed.h"

namespace torchconv {
namespace {

// ---- kernels -----------------------------------------------------------------------------------

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
  cuda::Divider<int64_t> row_pieces;

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
  using Out = cuda::Elementwise<T, Relu, 1>;

  Out out;
  Pieces octets;
  uint8_t* mask;

  int64_t items() const { return std::max(out.items(), cuda::spread_items(octets.number, kRuns)); }

  TORCHCONV_ANYWHERE void operator()(int64_t item) const {
    out(item);
    const T* from[kRuns];
    int there[kRuns];
    cuda::Run<T, 8> loaded[kRuns];
#pragma unroll
    for (int k = 0; k < kRuns; ++k) {
      const auto octet = octets(cuda::spread(item, k, kRuns));
      from[k] = out.in[0] + octet.first;
      there[k] = octet.count;
    }
    cuda::load_runs(from, 1, there, T{}, loaded);
#pragma unroll
    for (int k = 0; k < kRuns; ++k) {
      unsigned bits = 0;
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        bits |= unsigned(!(cuda::widen(loaded[k][i]) <= Accumulator<T>(0))) << i;
      }
      if (there[k] > 0) mask[cuda::spread(item, k, kRuns)] = uint8_t(bits);
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

  int64_t items() const { return cuda::spread_items(vectors.number, kRuns); }

  TORCHCONV_ANYWHERE void operator()(int64_t item) const {
    const int64_t row_bytes = (vectors.row + 7) / 8;
    const T* from[kRuns];
    int there[kRuns], shift[kRuns];
    unsigned byte[kRuns];
    cuda::Run<T, kVector> run[kRuns];
#pragma unroll
    for (int k = 0; k < kRuns; ++k) {
      const auto vector = vectors(cuda::spread(item, k, kRuns));
      from[k] = grad_out + vector.first;
      there[k] = vector.count;
      shift[k] = int(vector.in_row % 8);
      byte[k] = vector.count > 0 ? mask[vector.row * row_bytes + vector.in_row / 8] : 0;
    }
    cuda::load_runs(from, 1, there, T{}, run);
#pragma unroll
    for (int k = 0; k < kRuns; ++k) {
      const unsigned bits = byte[k] >> shift[k];
      T results[kVector];
#pragma unroll
      for (int i = 0; i < kVector; ++i) results[i] = bits >> i & 1 ? run[k][i] : T{};
      cuda::store_run(grad_x + (from[k] - grad_out), 1, there[k], results);
    }
  }
};

// ---- entries -----------------------------------------------------------------------------------

at::Tensor relu_cuda(const at::Tensor& x) {
  check_relu("relu", x);
  const at::Tensor out = dense_like(x);
  const at::Tensor from = cuda::laid_out_as(x, out);
  with_real_type(x.scalar_type(), [&](auto type) {
    using T = decltype(type);
    const cuda::Elementwise<T, Relu, 1> body{
        {data_of<const T>(from)}, data_of<T>(out), out.numel()};
    cuda::launch(out, body, body.items());
  });
  return out;
}

std::tuple<at::Tensor, at::Tensor> relu_with_mask_cuda(const at::Tensor& x, int64_t rows) {
  const int64_t bytes = check_relu_with_mask<int64_t>(x, x.numel(), rows);
  const at::Tensor out = dense_like(x);
  const at::Tensor mask = at::empty({rows, bytes}, x.options().dtype(at::kByte));
  const at::Tensor from = cuda::laid_out_as(x, out);
  with_real_type(x.scalar_type(), [&](auto type) {
    using T = decltype(type);
    const ReluWithMask<T> body{{{data_of<const T>(from)}, data_of<T>(out), x.numel()},
                               {x.numel(), rows, 8},
                               data_of<uint8_t>(mask)};
    cuda::launch(out, body, body.items());
  });
  return {out, mask};
}

at::Tensor relu_backward_cuda(const at::Tensor& grad_out, const at::Tensor& mask,
                              at::IntArrayRef strides) {
  check_relu_backward<int64_t>(grad_out, grad_out.numel(), mask, strides);
  check_dense("relu_backward", grad_out.sizes(), strides);
  const at::Tensor grad_x = at::empty_strided(grad_out.sizes(), strides, grad_out.options());
  const at::Tensor from = cuda::laid_out_as(grad_out, grad_x);
  const at::Tensor ordered = mask.contiguous();
  with_float_type(grad_out.scalar_type(), [&](auto type) {
    using T = decltype(type);
    const ReluBackward<T> body{{grad_out.numel(), mask.size(0), cuda::kVector<T>},
                               data_of<const T>(from),
                               data_of<const uint8_t>(ordered),
                               data_of<T>(grad_x)};
    cuda::launch(grad_x, body, body.items());
  });
  return grad_x;
}

}  // namespace

TORCHCONV_CUDA_LIBRARY(m) {
  m.impl("relu", relu_cuda);
  m.impl("relu_with_mask", relu_with_mask_cuda);
  m.impl("relu_backward", relu_backward_cuda);
}

}  // namespace torchconv
