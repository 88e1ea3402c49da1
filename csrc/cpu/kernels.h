// The complete list of CPU kernels: one table of function pointers per element type, one set of
// tables per instruction set. Kernels see pointers, strides (in elements) and ranges; no torch
// headers.
#pragma once

#include <cstdint>

#include "cpu/conv2d_plan.h"
#include "cpu/depthwise.h"
#include "cpu/plan.h"
#include "cpu/winograd.h"
#include "exp_terms.h"
#include "views.h"

namespace torchconv {

/// Products are summed in blocks of at most kTileDepth terms (or groups of terms that one
/// instruction multiplies), and these in spans of kSpanBlocks blocks, in order. So the order of
/// summation depends on the shape of the sum, never on threads, tiles or other samples.
constexpr int64_t kTileDepth = 256;
constexpr int64_t kSpanBlocks = 16;
constexpr int64_t kSpan = kSpanBlocks * kTileDepth;

/// out[rows, cols] = a[rows, depth] · b[depth, cols] + bias
template <class T>
struct MatMulArgs {
  int64_t rows, cols, depth;
  const T* a;
  int64_t a_row, a_col;
  const T* b;
  int64_t b_row, b_col;
  const T* bias;  // nullptr: none
  int64_t bias_stride;
  bool bias_of_rows;  // one element per row of out, not per column
  T* out;
  int64_t out_row, out_col;
};

/// One convolution or one of its gradients; the gradient written takes the place of its operand:
/// grad_x that of x, grad_weight that of weight, and grad_out that of out.
template <class X, class W, class O>
struct Conv2dArgs {
  Conv2dShape shape;
  View4<X> x;
  View4<W> weight;  // (out_channel, in_channel of the group, kernel_h, kernel_w)
  View4<O> out;
  const W* bias;  // nullptr: none; forward only
  int64_t bias_stride;
};
template <class T>
using Conv2dForwardArgs = Conv2dArgs<const T, const T, T>;

template <class T>
using Conv2dBackwardInputArgs = Conv2dArgs<T, const T, const T>;

/// A tensor that exists a few rows at a time. Rows are numbered on from image to image.
template <class T>
class RowsOnDemand {
 public:
  virtual ~RowsOnDemand() = default;
  /// A view of the tensor of which rows [first, last) of some channels may be read, until the next
  /// call. Next, in order, rows up to `end` will be asked for.
  virtual View4<const T> view(int64_t first, int64_t last, int64_t end, int64_t channel,
                              int64_t channels) = 0;
};

/// The weight gradient sums over batch · out_h · out_w terms. The sum is cut into `chunks` pieces,
/// fixed by the shape, whose partial results, each laid out as grad_weight, are added in order.
template <class T>
struct Conv2dBackwardWeightArgs {
  Conv2dArgs<const T, T, const T> conv;
  int64_t chunks;
  Accumulator<T>* partial;  // nullptr when chunks == 1
  RowsOnDemand<T>* rows;    // those of conv.out; nullptr: it exists

  /// conv.out for the reader of some of its rows, as RowsOnDemand::view.
  View4<const T> grad_out(int64_t first, int64_t last, int64_t end, int64_t channel,
                          int64_t channels) const {
    return rows == nullptr ? conv.out : rows->view(first, last, end, channel, channels);
  }
};

/// out[c] = Σ x[n, c, h, w], the gradient of a bias; where offsets are given, without the elements
/// whose offset is -1.
template <class T, class Offset>
struct ChannelSumArgs {
  int64_t batch, channels, height, width;
  View4<const T> x;
  View4<const Offset> offsets;
  T* out;
};
template <class T, class Offset>
using ChannelSumKernel = void (*)(const ChannelSumArgs<T, Offset>&, int64_t begin, int64_t end);

/// Whether a pooling kernel runs its lanes along the channels.
template <class X, class O, class Offset>
bool channels_contiguous(const Pool2dArgs<X, O, Offset>& args) {
  return args.shape.channels > 1 && args.x.c == 1 && args.out.c == 1 &&
         (args.offsets.data == nullptr || args.offsets.c == 1);
}

/// Ranges run over output rows (batch, channel, out_h), or (batch, out_h) where channels are
/// contiguous.
template <class T, class Offset>
using MaxPool2dKernel = void (*)(const Pool2dArgs<const T, T, Offset>&, int64_t begin, int64_t end);

template <class T, class Offset>
struct PoolGradientKernels {
  // Over output rows, too.
  void (*gather)(const Pool2dArgs<const T, T, const Offset>&, int64_t begin, int64_t end);
  // The same over input rows.
  void (*backward)(const Pool2dArgs<T, const T, const Offset>&, int64_t begin, int64_t end);
};

/// Everything made of matrix products. Each works through a range of tiles of the output.
template <class T>
struct ProductKernels {
  // Over tiles.
  void (*matmul)(const MatMulArgs<T>&, const MatMulPlan&, int64_t begin, int64_t end,
                 void* scratch);
  // Over items of the plan.
  void (*conv2d)(const Conv2dForwardArgs<T>&, const Conv2dPlan&, int64_t begin, int64_t end,
                 void* scratch);
  void (*conv2d_backward_input)(const Conv2dBackwardInputArgs<T>&, const Conv2dPlan&, int64_t begin,
                                int64_t end, void* scratch);
  // Over (group, chunk, tile), and then over output channels.
  void (*conv2d_backward_weight)(const Conv2dBackwardWeightArgs<T>&, const Conv2dWeightPlan&,
                                 int64_t begin, int64_t end, void* scratch);
  void (*conv2d_add_chunks)(const Conv2dBackwardWeightArgs<T>&, int64_t begin, int64_t end);
};

/// Depthwise convolution, where is_depthwise(shape) holds; see kernels/depthwise*.h.
template <class T>
struct DepthwiseKernels {
  // Over depthwise_items (cpu/depthwise_work.h).
  void (*conv2d)(const Conv2dForwardArgs<T>&, int64_t begin, int64_t end, void* scratch);
  void (*conv2d_backward_input)(const Conv2dBackwardInputArgs<T>&, int64_t begin, int64_t end,
                                void* scratch);
  // Over depthwise_weight_items; ends with products.conv2d_add_chunks.
  void (*conv2d_backward_weight)(const Conv2dBackwardWeightArgs<T>&, int64_t begin, int64_t end,
                                 void* scratch);
};

template <class T>
struct FloatKernels {
  // past_caches: the result is so large that streaming stores pay, if they can be made.
  void (*sigmoid)(const T* x, T* out, int64_t n, bool past_caches);
  void (*sigmoid_backward)(const T* grad_out, const T* out, T* grad_x, int64_t n, bool past_caches);
  void (*relu)(const T* x, T* out, int64_t n, bool past_caches);
  // A bit for each element, the lowest of a byte first; n elements begin with a byte.
  void (*relu_with_mask)(const T* x, T* out, uint8_t* mask, int64_t n, bool past_caches);
  void (*relu_backward)(const T* grad_out, const uint8_t* mask, T* grad_x, int64_t n,
                        bool past_caches);

  ProductKernels<T> products;
  DepthwiseKernels<T> depthwise;

  ChannelSumKernel<T, uint8_t> channel_sum_8;  // over channels; by the bits of an offset
  ChannelSumKernel<T, int32_t> channel_sum_32;
  MaxPool2dKernel<T, uint8_t> max_pool2d_8;
  MaxPool2dKernel<T, int32_t> max_pool2d_32;
  PoolGradientKernels<T, uint8_t> pool_gradients_8;
  PoolGradientKernels<T, int32_t> pool_gradients_32;

  double (*fma_peak)(int64_t rounds, Accumulator<T> scale, Accumulator<T> step,
                     Accumulator<T>* sum);
};

template <class T>
struct IntegerKernels {
  void (*relu)(const T* x, T* out, int64_t n, bool past_caches);
  void (*relu_with_mask)(const T* x, T* out, uint8_t* mask, int64_t n, bool past_caches);
  MaxPool2dKernel<T, uint8_t> max_pool2d_8;
  MaxPool2dKernel<T, int32_t> max_pool2d_32;
};

struct Kernels {
  const char* name;
  Lanes lanes;
  FloatKernels<float> f32;
  FloatKernels<double> f64;
  FloatKernels<bf16> b16;
  FloatKernels<f16> h16;
  IntegerKernels<uint8_t> u8;
  IntegerKernels<int8_t> i8;
  IntegerKernels<int16_t> i16;
  IntegerKernels<int32_t> i32;
  IntegerKernels<int64_t> i64;

  const FloatKernels<float>& of(float) const { return f32; }
  const FloatKernels<double>& of(double) const { return f64; }
  const FloatKernels<bf16>& of(bf16) const { return b16; }
  const FloatKernels<f16>& of(f16) const { return h16; }
  const IntegerKernels<uint8_t>& of(uint8_t) const { return u8; }
  const IntegerKernels<int8_t>& of(int8_t) const { return i8; }
  const IntegerKernels<int16_t>& of(int16_t) const { return i16; }
  const IntegerKernels<int32_t>& of(int32_t) const { return i32; }
  const IntegerKernels<int64_t>& of(int64_t) const { return i64; }
};

}  // namespace torchconv
