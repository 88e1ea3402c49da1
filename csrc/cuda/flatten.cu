#include "cuda/flatten.h"

#include "cuda/arithmetic.cuh"
#include "cuda/each_type.h"
#include "cuda/launch.cuh"

namespace torchconv::cuda {
namespace {

template <class T, class Offset>
struct Flatten {
  View4<const T> grad_out;
  View4<const Offset> offsets;
  T* out;
  Split4<int64_t> place;

  TORCHCONV_ANYWHERE void operator()(int64_t i) const {
    const auto at = [p = place(i)](const auto& view) {
      return view.data[p.first * view.n + p.second * view.c + p.third * view.h + p.last * view.w];
    };
    out[i] = at(offsets) == Offset(-1) ? T{} : at(grad_out);
  }
};

template <class T, class Offset>
struct ReluPooled {
  T* out;
  Offset* offsets;  // may be nullptr

  TORCHCONV_ANYWHERE void operator()(int64_t i) const {
    if (!(widen(out[i]) <= Accumulator<T>(0))) return;
    out[i] = T{};
    if (offsets != nullptr) offsets[i] = Offset(-1);
  }
};

}  // namespace

template <class T, class Offset>
void flatten(const at::Tensor& on, const View4<const T>& grad_out,
             const View4<const Offset>& offsets, T* out, const int64_t* sizes) {
  const Flatten<T, Offset> body{grad_out, offsets, out, {sizes[1], sizes[2], sizes[3]}};
  launch(on, body, body.place.items(sizes[0]));
}

template <class T, class Offset>
void relu_pooled(const at::Tensor& on, T* out, Offset* offsets, int64_t elements) {
  launch(on, ReluPooled<T, Offset>{out, offsets}, elements);
}

#define TORCHCONV_FLATTEN_BY(T, Offset)                                                           \
  template void flatten(const at::Tensor&, const View4<const T>&, const View4<const Offset>&, T*, \
                        const int64_t*);                                                          \
  template void relu_pooled(const at::Tensor&, T*, Offset*, int64_t);
#define TORCHCONV_FLATTEN(T) TORCHCONV_FLATTEN_BY(T, uint8_t) TORCHCONV_FLATTEN_BY(T, int32_t)

TORCHCONV_EACH_FLOAT(TORCHCONV_FLATTEN)

}  // namespace torchconv::cuda
