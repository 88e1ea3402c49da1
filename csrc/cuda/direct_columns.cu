// Which direct kernel with columns in its lanes a window takes.
#include "cuda/direct_columns.cuh"

#include "cuda/direct_kernels.h"
#include "cuda/each_type.h"

namespace torchconv::cuda {

template <class T>
bool correlate_columns(const at::Tensor& on, const DirectArgs<T, T, int64_t>& args) {
  return with_any_window<T>(args.rows, args.cols, [&](auto window) {
    using W = decltype(window);
    with_pack<T, W>(DirectColumns<T, W, 1>::common(args), [&](auto pack) {
      const DirectColumns<T, W, decltype(pack)::value> body(args);
      launch(on, body, body.items());
    });
  });
}

#define TORCHCONV_CORRELATE(T) \
  template bool correlate_columns(const at::Tensor&, const DirectArgs<T, T, int64_t>&);

TORCHCONV_EACH_FLOAT(TORCHCONV_CORRELATE)

}  // namespace torchconv::cuda
