// The CPU entries of relu and its gradient: checks, results, threads, then a kernel.
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_strided.h>
#include <torch/library.h>

#include "cpu/elementwise.h"
#include "cpu/parallel.h"

namespace torchconv {
namespace {

/// Elements whose bits are made or read at a time: whole bytes.
constexpr int64_t kPiece = 16384;

/// Calls fn(first element, their number, first byte) for pieces of the rows of a mask.
template <class Fn>
void for_pieces(int64_t elements, int64_t rows, const Fn& fn) {
  const int64_t row = elements / rows, bytes = ceil_div<int64_t>(row, 8);
  const int64_t pieces = ceil_div(row, kPiece);
  parallel(rows * pieces, kPiece, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i % pieces * kPiece;
      fn(i / pieces * row + first, std::min(kPiece, row - first), i / pieces * bytes + first / 8);
    }
  });
}

at::Tensor relu_cpu(const at::Tensor& x) {
  check_relu("relu", x);
  return with_real_type(x.scalar_type(), [&](auto type) {
    return map_unary<decltype(type)>(x, [](const auto& kernels) { return kernels.relu; });
  });
}

std::tuple<at::Tensor, at::Tensor> relu_with_mask_cpu(const at::Tensor& x, int64_t rows) {
  const int64_t bytes = check_relu_with_mask<int64_t>(x, x.numel(), rows);
  const at::Tensor out = empty_result_like(x);
  const at::Tensor mask = at::empty({rows, bytes}, x.options().dtype(at::kByte));
  // What out holds is read before it is written.
  const at::Tensor from = lies_as(x, out.strides()) ? x : out.copy_(x);
  with_real_type(x.scalar_type(), [&](auto type) {
    using T = decltype(type);
    const T* in = data_of<const T>(from);
    T* to = data_of<T>(out);
    uint8_t* bits = data_of<uint8_t>(mask);
    auto* const kernel = kernels().of(type).relu_with_mask;
    const bool streaming = past_caches(x.numel() * int64_t(sizeof(T)));
    for_pieces(x.numel(), rows, [&](int64_t first, int64_t count, int64_t byte) {
      kernel(in + first, to + first, bits + byte, count, streaming);
    });
  });
  return {out, mask};
}

at::Tensor relu_backward_cpu(const at::Tensor& grad_out, const at::Tensor& mask,
                             at::IntArrayRef strides) {
  check_relu_backward<int64_t>(grad_out, grad_out.numel(), mask, strides);
  check_dense("relu_backward", grad_out.sizes(), strides);
  const at::Tensor grad_x =
      advise_huge_pages(at::empty_strided(grad_out.sizes(), strides, grad_out.options()));
  const at::Tensor from = lies_as(grad_out, strides) ? grad_out : grad_x.copy_(grad_out);
  const at::Tensor ordered = mask.contiguous();
  with_float_type(grad_out.scalar_type(), [&](auto type) {
    using T = decltype(type);
    const T* in = data_of<const T>(from);
    T* to = data_of<T>(grad_x);
    const uint8_t* bits = data_of<const uint8_t>(ordered);
    auto* const kernel = kernels().of(type).relu_backward;
    const bool streaming = past_caches(grad_out.numel() * int64_t(sizeof(T)));
    for_pieces(grad_out.numel(), mask.size(0), [&](int64_t first, int64_t count, int64_t byte) {
      kernel(in + first, bits + byte, to + first, count, streaming);
    });
  });
  return grad_x;
}

}  // namespace

TORCH_LIBRARY_IMPL(torchconv, CPU, m) {
  m.impl("relu", relu_cpu);
  m.impl("relu_with_mask", relu_with_mask_cpu);
  m.impl("relu_backward", relu_backward_cpu);
}

}  // namespace torchconv
