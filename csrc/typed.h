// From a tensor to the types and pointers that kernels take.
#pragma once

#include <ATen/core/Tensor.h>

#include "views.h"

namespace torchconv {

/// Calls fn(T{}) with the element type of a tensor that check_floating has let through.
template <class Fn>
auto with_float_type(at::ScalarType dtype, const Fn& fn) {
  switch (dtype) {
    case at::kDouble:
      return fn(double{});
    case at::kBFloat16:
      return fn(bf16{});
    case at::kHalf:
      return fn(f16{});
    default:
      return fn(float{});
  }
}

/// The same for floating-point types, integers, and booleans, which count as bytes.
template <class Fn>
auto with_real_type(at::ScalarType dtype, const Fn& fn) {
  switch (dtype) {
    case at::kByte:
    case at::kBool:
      return fn(uint8_t{});
    case at::kChar:
      return fn(int8_t{});
    case at::kShort:
      return fn(int16_t{});
    case at::kInt:
      return fn(int32_t{});
    case at::kLong:
      return fn(int64_t{});
    default:
      return with_float_type(dtype, fn);
  }
}

/// Calls fn(Offset{}) with the type of the offsets.
template <class Fn>
void with_offset_type(at::ScalarType dtype, const Fn& fn) {
  dtype == at::kByte ? fn(uint8_t{}) : fn(int32_t{});
}

/// Calls fn(T{}, Offset{}) for what has a gradient.
template <class Fn>
void with_float_and_offset_type(at::ScalarType dtype, at::ScalarType offsets, const Fn& fn) {
  with_float_type(
      dtype, [&](auto type) { with_offset_type(offsets, [&](auto offset) { fn(type, offset); }); });
}

template <class T>
T* data_of(const at::Tensor& tensor) {
  return static_cast<T*>(std::is_const_v<T> ? const_cast<void*>(tensor.const_data_ptr())
                                            : tensor.mutable_data_ptr());
}

template <class T>
View4<T> view4(const at::Tensor& tensor) {
  return {data_of<T>(tensor), tensor.stride(0), tensor.stride(1), tensor.stride(2),
          tensor.stride(3)};
}

}  // namespace torchconv
