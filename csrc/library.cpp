// The schema of every operator. Kernels are registered beside their code: csrc/cpu,
// csrc/cuda, csrc/meta.
#include <torch/library.h>

TORCH_LIBRARY(torchconv, m) {
  m.def("sigmoid(Tensor x) -> Tensor");
  m.def("sigmoid_backward(Tensor grad_out, Tensor out) -> Tensor");

  // A mask is uint8[rows, bytes]: a bit for each element of out, lowest bits first, which is 0
  // where relu is flat. The elements are taken in the order of memory, in so many rows of equal
  // length. Backward is told the strides of out.
  m.def("relu(Tensor x) -> Tensor");
  m.def("relu_with_mask(Tensor x, SymInt rows) -> (Tensor out, Tensor mask)");
  m.def("relu_backward(Tensor grad_out, Tensor mask, SymInt[] strides) -> Tensor");

  // The gradients of a product are products of transposed views.
  m.def("matmul(Tensor a, Tensor b) -> Tensor");
  m.def("linear(Tensor x, Tensor weight, Tensor? bias) -> Tensor");
  m.def("linear_backward_bias(Tensor grad_out) -> Tensor");

  // padding is (left, right, top, bottom); other pairs are (height, width). channels_last is the
  // memory format of the result. The caller passes it: it depends on x and weight, and each
  // gradient operator receives only one of them.
  m.def(
      "conv2d(Tensor x, Tensor weight, Tensor? bias, SymInt[] stride, SymInt[] padding, "
      "SymInt[] dilation, SymInt groups) -> Tensor");
  m.def(
      "conv2d_backward_input(Tensor grad_out, Tensor weight, SymInt[] input_size, SymInt[] stride, "
      "SymInt[] padding, SymInt[] dilation, SymInt groups, bool channels_last) -> Tensor");
  m.def(
      "conv2d_backward_weight(Tensor grad_out, Tensor x, SymInt[] kernel_size, SymInt[] stride, "
      "SymInt[] padding, SymInt[] dilation, SymInt groups, bool channels_last) -> Tensor");
  // Without what belongs to offsets (below) that are -1, if there are offsets.
  m.def("conv2d_backward_bias(Tensor grad_out, Tensor? offsets) -> Tensor");

  // An offset is the place of the maximum in its window, row * kernel_w + column: what backward
  // needs, in one byte (four for windows of more than 255 elements).
  m.def(
      "max_pool2d(Tensor x, SymInt[] kernel_size, SymInt[] stride, SymInt[] padding, "
      "SymInt[] dilation, bool ceil_mode) -> Tensor");
  m.def(
      "max_pool2d_with_offsets(Tensor x, SymInt[] kernel_size, SymInt[] stride, SymInt[] padding, "
      "SymInt[] dilation, bool ceil_mode) -> (Tensor out, Tensor offsets)");
  m.def(
      "max_pool2d_indices(Tensor offsets, SymInt[] input_size, SymInt[] kernel_size, "
      "SymInt[] stride, SymInt[] padding, SymInt[] dilation, bool ceil_mode) -> Tensor");
  m.def(
      "max_pool2d_backward(Tensor grad_out, Tensor offsets, SymInt[] input_size, "
      "SymInt[] kernel_size, SymInt[] stride, SymInt[] padding, SymInt[] dilation, bool ceil_mode) "
      "-> Tensor");
  m.def(
      "max_pool2d_gather(Tensor x, Tensor offsets, SymInt[] kernel_size, SymInt[] stride, "
      "SymInt[] padding, SymInt[] dilation, bool ceil_mode) -> Tensor");

  // max_pool2d(activation(conv2d(…))), activation being 'relu', 'sigmoid' or None. An offset is -1
  // (255 in a byte) where relu was zero. The gradients are those of conv2d for the gradient of the
  // pooling's input, which is never there as a whole; that of the activation is in grad_out.
  m.def(
      "conv2d_act_pool(Tensor x, Tensor weight, Tensor? bias, SymInt[] stride, SymInt[] padding, "
      "SymInt[] dilation, SymInt groups, str? activation, SymInt[] pool_size, "
      "SymInt[] pool_stride, SymInt[] pool_padding, SymInt[] pool_dilation, bool ceil_mode) "
      "-> Tensor");
  m.def(
      "conv2d_act_pool_with_offsets(Tensor x, Tensor weight, Tensor? bias, SymInt[] stride, "
      "SymInt[] padding, SymInt[] dilation, SymInt groups, str? activation, SymInt[] pool_size, "
      "SymInt[] pool_stride, SymInt[] pool_padding, SymInt[] pool_dilation, bool ceil_mode) "
      "-> (Tensor out, Tensor offsets)");
  m.def(
      "conv2d_pool_backward_input(Tensor grad_out, Tensor offsets, Tensor weight, "
      "SymInt[] input_size, SymInt[] stride, SymInt[] padding, SymInt[] dilation, SymInt groups, "
      "SymInt[] pool_size, SymInt[] pool_stride, SymInt[] pool_padding, SymInt[] pool_dilation, "
      "bool ceil_mode, bool channels_last) -> Tensor");
  m.def(
      "conv2d_pool_backward_weight(Tensor grad_out, Tensor offsets, Tensor x, "
      "SymInt[] kernel_size, SymInt[] stride, SymInt[] padding, SymInt[] dilation, SymInt groups, "
      "SymInt[] pool_size, SymInt[] pool_stride, SymInt[] pool_padding, SymInt[] pool_dilation, "
      "bool ceil_mode, bool channels_last) -> Tensor");
}
