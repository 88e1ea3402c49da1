// Plans products and has them computed.
#include "cuda/product.h"

#include "cuda/device.h"

namespace torchconv::cuda {

template <class T>
void compute_product(const at::Tensor& on, ProductArgs<T> args, Float32Math float32, bool long_sum,
                     const Carry& carry) {
  arrange(&args);
  const ProductShape shape = args.shape();
  if (shape.items * shape.rows * shape.columns == 0) return;
  with_kind<T>(float32, [&](auto kind) {
    using Math = decltype(kind);
    using Sum = typename Math::Sum;
    const ProductPlan plan = plan_of<Math>(args, long_sum, gpu_of(on));
    std::shared_ptr<void> partial;
    if (plan.chunks > 1 || carry.sums != nullptr) {
      const int64_t sums = plan.chunks * shape.items * shape.rows * shape.columns;
      partial = scratch_on(on, sums * int64_t(sizeof(Sum)));
    }
    launch_product<Math>(on, args, plan, static_cast<Sum*>(partial.get()), carry);
  });
}

template <class T>
void compute_pooled_product(const at::Tensor& on, ProductArgs<T> args, Float32Math float32,
                            const PooledWindow& window) {
  arrange(&args);
  constexpr int64_t kVector = 16 / sizeof(T);
  if (window.down.offset % kVector != 0 || window.right.offset % kVector != 0) {
    args.rows.vectors = false;
  }
  lie_along_sum(&args.columns);
  with_kind<T>(float32,
               [&](auto kind) { launch_pooled_product<decltype(kind)>(on, args, window); });
}

#define TORCHCONV_COMPUTE(T)                                                              \
  template void compute_product<T>(const at::Tensor&, ProductArgs<T>, Float32Math, bool,  \
                                   const Carry&);                                         \
  template void compute_pooled_product<T>(const at::Tensor&, ProductArgs<T>, Float32Math, \
                                          const PooledWindow&)

TORCHCONV_COMPUTE(float);
TORCHCONV_COMPUTE(double);
TORCHCONV_COMPUTE(bf16);
TORCHCONV_COMPUTE(f16);

}  // namespace torchconv::cuda
