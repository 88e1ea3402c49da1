// The kernels made of matrix products, and their part of the table. Apart from all.h, because the
// instruction sets that only multiply better have no other kernels.

// clang-format off
#include "cpu/kernels/matmul.h"
#include "cpu/kernels/window.h"
#include "cpu/kernels/strip.h"
#include "cpu/kernels/weights.h"
#include "cpu/kernels/correlate.h"
#include "cpu/kernels/grouped.h"
#include "cpu/kernels/grouped_channels.h"
#include "cpu/kernels/winograd.h"
#include "cpu/kernels/winograd_tiles.h"
#include "cpu/kernels/winograd_correlate.h"
#include "cpu/kernels/conv2d.h"
#include "cpu/kernels/weight_tiles.h"
#include "cpu/kernels/conv2d_weight.h"
#include "cpu/kernels/winograd_weight.h"
#include "cpu/kernels/grouped_weight.h"
#include "cpu/kernels/conv2d_chunks.h"
// clang-format on

template <class T>
constexpr ProductKernels<T> product_kernels() {
  return {
      .matmul = matmul<T>,
      .conv2d = conv2d<T>,
      .conv2d_backward_input = conv2d_backward_input<T>,
      .conv2d_backward_weight = conv2d_backward_weight<T>,
      .conv2d_add_chunks = conv2d_add_chunks<T>,
  };
}
