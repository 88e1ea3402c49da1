// What sigmoid and relu accept, on every device.
#pragma once

#include "checks.h"

namespace torchconv {

/// The dtype of sigmoid(x): that of x, or the default dtype where x holds integers.
at::ScalarType check_sigmoid(const at::Tensor& x);
void check_sigmoid_backward(const at::Tensor& grad_out, const at::Tensor& out);
void check_relu(const char* op, const at::Tensor& x);

/// Bytes of a mask's row, for so many elements in all.
template <class Int>
Int mask_bytes(const char* op, const Int& elements, const Int& rows) {
  TORCHCONV_EXPECT(is_equal(elements % rows, Int(0)), op, elements,
                   "the number of elements to be divisible by rows == ", rows);
  return (elements / rows + 7) / 8;
}

/// The number of bytes in a row of the mask.
template <class Int>
Int check_relu_with_mask(const at::Tensor& x, const Int& elements, const Int& rows) {
  const char* op = "relu_with_mask";
  check_relu(op, x);
  TORCHCONV_EXPECT(is_at_least(rows, Int(1)), op, rows, "rows to be positive");
  return mask_bytes(op, elements, rows);
}

/// Strides must make each element of a tensor of these sizes lie somewhere, and no gaps.
void check_dense(const char* op, at::IntArrayRef sizes, at::IntArrayRef strides);

template <class Int>
void check_relu_backward(const at::Tensor& grad_out, const Int& elements, const at::Tensor& mask,
                         IntList<Int> strides) {
  const char* op = "relu_backward";
  check_floating(op, grad_out, "grad_out");
  TORCHCONV_EXPECT(mask.scalar_type() == at::kByte, op, dtype_name(mask.scalar_type()),
                   "mask.dtype == uint8");
  TORCHCONV_EXPECT(mask.device() == grad_out.device(), op, mask.device(),
                   "mask.device == ", grad_out.device(), " (grad_out.device)");
  check_rank(op, mask, "mask", 2, "[rows, bytes]");
  const Int rows = sizes_of<Int>(mask)[0];
  TORCHCONV_EXPECT(is_at_least(rows, Int(1)), op, sizes_of<Int>(mask), "mask to have rows");
  check_shape<Int>(op, mask, "mask", {rows, mask_bytes(op, elements, rows)});
  check_length(op, strides, "strides", static_cast<size_t>(grad_out.dim()),
               "one for each dimension of grad_out");
  check_at_least(op, strides, "strides", 0, "non-negative");
}

}  // namespace torchconv
