// Elementwise kernels over tensors of any strides.
#pragma once

#include <ATen/TensorIterator.h>

#include <array>

#include "activation_checks.h"
#include "cpu/allocate.h"
#include "cpu/dispatch.h"
#include "layouts.h"

namespace torchconv {

/// A result for an elementwise operator on `like`.
inline at::Tensor empty_result_like(const at::Tensor& like) {
  return advise_huge_pages(dense_like(like));
}

/// Calls kernel({inputs...}, out, n, buffered) on contiguous runs of `out` and the inputs.
/// TensorIterator joins dimensions and shares the work out; runs that are not contiguous go through
/// small buffers.
/// If `out` is undefined it is made as `empty_result_like` makes it.
template <class T, size_t kInputs, class Kernel>
at::Tensor map_elements(const at::Tensor& out, const std::array<at::Tensor, kInputs>& inputs,
                        const Kernel& kernel) {
  at::TensorIteratorConfig config;
  config.add_owned_output(out);
  for (const at::Tensor& input : inputs) config.add_const_input(input);
  at::TensorIterator iterator = config.build();
  const at::Tensor result = out.defined() ? out : advise_huge_pages(iterator.output(0));

  iterator.for_each([&](char** data, const int64_t* strides, int64_t n) {
    constexpr int64_t kElement = sizeof(T), kBuffer = 512;
    bool contiguous = true;
    for (size_t i = 0; i <= kInputs; ++i) contiguous = contiguous && strides[i] == kElement;
    std::array<const T*, kInputs> in;
    if (contiguous) {
      for (size_t i = 0; i < kInputs; ++i) in[i] = reinterpret_cast<const T*>(data[i + 1]);
      return kernel(in, reinterpret_cast<T*>(data[0]), n, /*buffered=*/false);
    }
    T buffers[kInputs + 1][kBuffer];
    for (int64_t begin = 0; begin < n; begin += kBuffer) {
      const int64_t count = std::min(kBuffer, n - begin);
      for (size_t i = 0; i < kInputs; ++i) {
        const char* p = data[i + 1] + begin * strides[i + 1];
        for (int64_t j = 0; j < count; ++j) {
          buffers[i][j] = *reinterpret_cast<const T*>(p + j * strides[i + 1]);
        }
        in[i] = buffers[i];
      }
      kernel(in, buffers[kInputs], count, /*buffered=*/true);
      char* p = data[0] + begin * strides[0];
      for (int64_t j = 0; j < count; ++j) {
        *reinterpret_cast<T*>(p + j * strides[0]) = buffers[kInputs][j];
      }
    }
  });
  return result;
}

/// out = kernel(x), for a kernel that `select` takes from the table of an element type.
template <class T, class Select>
at::Tensor map_unary(const at::Tensor& x, const Select& select) {
  auto* const kernel = select(kernels().of(T{}));
  const bool large = past_caches(x.numel() * int64_t(sizeof(T)));
  return map_elements<T, 1>({}, {x}, [&](const auto& in, T* o, int64_t n, bool buffered) {
    kernel(in[0], o, n, large && !buffered);
  });
}

}  // namespace torchconv
