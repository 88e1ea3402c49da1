// Every kernel body, in an order that lets each use the ones above it, and the list of them that
// goes into the table. Included once per instruction set.

// clang-format off
#include "cpu/simd/vec.h"
#include "cpu/kernels/sigmoid.h"
#include "cpu/kernels/relu.h"
#include "cpu/kernels/axis.h"
#include "cpu/kernels/gemm.h"
#include "cpu/kernels/products.h"
#include "cpu/kernels/channel_sum.h"
#include "cpu/kernels/max_pool2d.h"
// clang-format on

template <class T, class Offset>
constexpr PoolKernels<T, Offset> pool_kernels() {
  return {.max_pool2d = max_pool2d<T, Offset>,
          .gather = max_pool2d_gather<T, Offset>,
          .backward = max_pool2d_backward<T, Offset>};
}

template <class T>
constexpr FloatKernels<T> float_kernels() {
  return {.sigmoid = sigmoid<T>,
          .sigmoid_backward = sigmoid_backward<T>,
          .relu = relu<T>,
          .relu_backward = relu_backward<T>,
          .products = product_kernels<T>(),
          .channel_sum = channel_sum<T>,
          .pool8 = pool_kernels<T, uint8_t>(),
          .pool32 = pool_kernels<T, int32_t>()};
}

constexpr Kernels all_kernels(const char* name) {
  return {.name = name,
          .f32 = float_kernels<float>(),
          .f64 = float_kernels<double>(),
          .b16 = float_kernels<bf16>(),
          .h16 = float_kernels<f16>(),
          .u8 = {relu_integer<uint8_t>},
          .i8 = {relu_integer<int8_t>},
          .i16 = {relu_integer<int16_t>},
          .i32 = {relu_integer<int32_t>},
          .i64 = {relu_integer<int64_t>}};
}
