// Every kernel body, in an order that lets each use the ones above it, and the list of them that
// goes into the table. Included once per instruction set.

// clang-format off
#include "cpu/simd/vec.h"
#include "cpu/simd/shuffle.h"
#include "cpu/kernels/sigmoid.h"
#include "cpu/kernels/relu.h"
#include "cpu/kernels/copy.h"
#include "cpu/kernels/gemm.h"
#include "cpu/kernels/tile.h"
#include "cpu/kernels/products.h"
#include "cpu/kernels/depthwise.h"
#include "cpu/kernels/offsets.h"
#include "cpu/kernels/channel_sum.h"
#include "cpu/kernels/max_pool2d_windows.h"
#include "cpu/kernels/max_pool2d_channels.h"
#include "cpu/kernels/max_pool2d_rows.h"
#include "cpu/kernels/max_pool2d_rows_backward.h"
#include "cpu/kernels/max_pool2d.h"
#include "cpu/kernels/fma_peak.h"
// clang-format on

template <class T, class Offset>
constexpr PoolGradientKernels<T, Offset> pool_gradient_kernels() {
  return {.gather = max_pool2d_gather<T, Offset>, .backward = max_pool2d_backward<T, Offset>};
}

template <class T>
constexpr IntegerKernels<T> integer_kernels() {
  return {.relu = relu_integer<T>,
          .relu_with_mask = relu_integer_with_mask<T>,
          .max_pool2d_8 = max_pool2d<T, uint8_t>,
          .max_pool2d_32 = max_pool2d<T, int32_t>};
}

template <class T>
constexpr FloatKernels<T> float_kernels() {
  return {.sigmoid = sigmoid<T>,
          .sigmoid_backward = sigmoid_backward<T>,
          .relu = relu<T>,
          .relu_with_mask = relu_with_mask<T>,
          .relu_backward = relu_backward<T>,
          .products = product_kernels<T>(),
          .depthwise = depthwise_kernels<T>(),
          .channel_sum_8 = channel_sum<T, uint8_t>,
          .channel_sum_32 = channel_sum<T, int32_t>,
          .max_pool2d_8 = max_pool2d<T, uint8_t>,
          .max_pool2d_32 = max_pool2d<T, int32_t>,
          .pool_gradients_8 = pool_gradient_kernels<T, uint8_t>(),
          .pool_gradients_32 = pool_gradient_kernels<T, int32_t>(),
          .fma_peak = fma_peak<T>};
}

constexpr Kernels all_kernels(const char* name) {
  return {.name = name,
          .lanes = {kVectorBytes, kGemmRows, 1},
          .f32 = float_kernels<float>(),
          .f64 = float_kernels<double>(),
          .b16 = float_kernels<bf16>(),
          .h16 = float_kernels<f16>(),
          .u8 = integer_kernels<uint8_t>(),
          .i8 = integer_kernels<int8_t>(),
          .i16 = integer_kernels<int16_t>(),
          .i32 = integer_kernels<int32_t>(),
          .i64 = integer_kernels<int64_t>()};
}
