// The CUDA entries of max_pool2d and its relatives.
#include "cuda/max_pool2d.h"

#include <ATen/ops/empty.h>

#include "cuda/register.h"
#include "max_pool2d_entries.h"

namespace torchconv {
namespace {

struct Cuda {
  static at::Tensor empty(at::IntArrayRef sizes, const at::TensorOptions& options,
                          at::MemoryFormat format) {
    return at::empty(sizes, options.memory_format(format));
  }

  template <class T, class Offset>
  static void forward(const at::Tensor& on, const Pool2dArgs<const T, T, Offset>& args) {
    cuda::launch_max_pool2d(on, args);
  }
  template <class T, class Offset>
  static void backward(const at::Tensor& on, const Pool2dArgs<T, const T, const Offset>& args) {
    cuda::launch_max_pool2d_backward(on, args);
  }
  template <class T, class Offset>
  static void gather(const at::Tensor& on, const Pool2dArgs<const T, T, const Offset>& args) {
    cuda::launch_max_pool2d_gather(on, args);
  }
  template <class Offset>
  static void indices(const at::Tensor& on, const Pool2dShape& s,
                      const View4<const Offset>& offsets, const View4<int64_t>& indices) {
    cuda::launch_max_pool2d_indices(on, s, offsets, indices);
  }
};

}  // namespace

namespace cuda {

void max_pool2d_into(const at::Tensor& out, const at::Tensor& offsets, const at::Tensor& x,
                     const Pool2dShape& s) {
  MaxPool2dEntries<Cuda>::compute(s, x, out, offsets);
}
void max_pool2d_backward_into(const at::Tensor& grad_x, const at::Tensor& grad_out,
                              const at::Tensor& offsets, const Pool2dShape& s) {
  MaxPool2dEntries<Cuda>::compute_backward(s, grad_x, grad_out, offsets);
}

}  // namespace cuda

TORCHCONV_CUDA_LIBRARY(m) { MaxPool2dEntries<Cuda>::register_in(m); }

}  // namespace torchconv
