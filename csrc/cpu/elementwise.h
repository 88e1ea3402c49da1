// Elementwise kernels over tensors of any strides.
#pragma once

#include <ATen/TensorIterator.h>

#include <array>

#include "activation_checks.h"
#include "cpu/allocate.h"
#include "cpu/dispatch.h"

namespace torchconv {

/// Calls kernel({inputs...}, out, n) on contiguous runs of `out` and the inputs. TensorIterator
/// joins dimensions and shares the work out; runs that are not contiguous go through small buffers.
template <class T, size_t kInputs, class Kernel>
void map_elements(const at::Tensor& out, const std::array<at::Tensor, kInputs>& inputs,
                  const Kernel& kernel) {
  at::TensorIteratorConfig config;
  config.add_output(out);
  for (const at::Tensor& input : inputs) config.add_const_input(input);
  at::TensorIterator iterator = config.build();

  iterator.for_each([&](char** data, const int64_t* strides, int64_t n) {
    constexpr int64_t kElement = sizeof(T), kBuffer = 512;
    bool contiguous = true;
    for (size_t i = 0; i <= kInputs; ++i) contiguous = contiguous && strides[i] == kElement;
    std::array<const T*, kInputs> in;
    if (contiguous) {
      for (size_t i = 0; i < kInputs; ++i) in[i] = reinterpret_cast<const T*>(data[i + 1]);
      return kernel(in, reinterpret_cast<T*>(data[0]), n);
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
      kernel(in, buffers[kInputs], count);
      char* p = data[0] + begin * strides[0];
      for (int64_t j = 0; j < count; ++j) {
        *reinterpret_cast<T*>(p + j * strides[0]) = buffers[kInputs][j];
      }
    }
  });
}

/// out = kernel(x), for a kernel that `select` takes from the table of an element type.
template <class T, class Select>
at::Tensor map_unary(const at::Tensor& x, const Select& select) {
  at::Tensor out = empty_result_like(x);
  auto* const kernel = select(kernels().of(T{}));
  map_elements<T, 1>(out, {x}, [&](const auto& in, T* o, int64_t n) { kernel(in[0], o, n); });
  return out;
}

/// grad_x = kernel(grad_out, out), the gradient of an activation that is known from its output.
template <class Select>
at::Tensor activation_backward(const char* op, const at::Tensor& grad_out, const at::Tensor& out,
                               const Select& select) {
  check_activation_backward(op, grad_out, out);
  return with_float_type(out.scalar_type(), [&](auto type) {
    using T = decltype(type);
    at::Tensor grad_x = empty_result_like(out);
    auto* const kernel = select(kernels().of(type));
    map_elements<T, 2>(grad_x, {grad_out, out},
                       [&](const auto& in, T* o, int64_t n) { kernel(in[0], in[1], o, n); });
    return grad_x;
  });
}

}  // namespace torchconv
