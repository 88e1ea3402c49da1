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
  return {max_pool2d<T, Offset>, max_pool2d_gather<T, Offset>, max_pool2d_backward<T, Offset>};
}

template <class T>
constexpr FloatKernels<T> float_kernels() {
  return {sigmoid<T>,
          sigmoid_backward<T>,
          relu<T>,
          relu_backward<T>,
          product_kernels<T>(),
          channel_sum<T>,
          pool_kernels<T, uint8_t>(),
          pool_kernels<T, int32_t>()};
}

constexpr Kernels all_kernels(const char* name) {
  return {name,
          float_kernels<float>(),
          float_kernels<double>(),
          float_kernels<bf16>(),
          float_kernels<f16>(),
          {relu_integer<uint8_t>},
          {relu_integer<int8_t>},
          {relu_integer<int16_t>},
          {relu_integer<int32_t>},
          {relu_integer<int64_t>}};
}
