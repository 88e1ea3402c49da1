// From tensors and the shape of a convolution to what direct kernels are told.
#pragma once

#include "cuda/direct_args.cuh"
#include "typed.h"

namespace torchconv::cuda {

template <class T>
Places<T, int64_t> places_of(const at::Tensor& tensor) {
  const auto stride = [&](int64_t d) { return tensor.size(d) == 1 ? 0 : tensor.stride(d); };
  return {data_of<T>(tensor), stride(0), stride(1), stride(2), stride(3)};
}

inline DirectLine<int64_t> forward_rows(const Conv2dShape& s) {
  return {s.in_h, s.out_h, s.stride_h, 1, s.kernel_h, s.dilation_h, -s.pad_top};
}
inline DirectLine<int64_t> forward_columns(const Conv2dShape& s) {
  return {s.in_w, s.out_w, s.stride_w, 1, s.kernel_w, s.dilation_w, -s.pad_left};
}

}  // namespace torchconv::cuda
