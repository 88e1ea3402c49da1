// The gradient of conv2d's weight on Hopper GPUs, as it is planned.
#include "cuda/hopper_conv2d_weight.h"

#include "cuda/hopper.h"
#include "cuda/hopper_tensors.h"

namespace torchconv::cuda {
namespace {

template <class T>
void launch_gradient(const at::Tensor& grad_weight, HopperWeightGradient<T>& gradient,
                     const Carry& carry) {
  HopperProduct<T>& product = gradient.product->product();
  std::shared_ptr<void> copies[2];  // until the product is launched
  const auto copy = [&](const std::optional<Relaid<T>>& image, TilePlan* load,
                        std::shared_ptr<void>* to) {
    if (!image || image->bytes() == 0) return;
    *to = image->copy(grad_weight);
    load->set_data(to->get());
  };
  copy(gradient.x, &product.row_load, &copies[0]);
  copy(gradient.grad_out, &product.column_load, &copies[1]);
  launch_hopper(grad_weight, product, carry);
}

}  // namespace

bool hopper_conv2d_backward_weight(const at::Tensor& grad_weight, const at::Tensor& grad_out,
                                   const at::Tensor& x, const Conv2dShape& s, Float32Math float32) {
  if (s.groups > 1) {
    const ConvGroups groups(s);
    return groups.all([&](int64_t group) {
      return hopper_conv2d_backward_weight(groups.outs(grad_weight, group, 0),
                                           groups.outs(grad_out, group), groups.ins(x, group),
                                           groups.one, float32);
    });
  }
  if (!takes_hopper(grad_weight, s, float32)) return false;
  return with_hopper_type(grad_weight.scalar_type(), [&](auto type) {
    using T = decltype(type);
    const View4<const T> all_x = view4<const T>(x), all_grad = view4<const T>(grad_out);
    HopperWeightGradient<T> gradient;
    const auto plan = [&](int64_t first, const Conv2dShape& some) {
      View4<const T> from = all_x, grad = all_grad;
      from.data += first * from.n;
      grad.data += first * grad.n;
      return gradient.plan(some, from, grad, view4<T>(grad_weight), splits<T>(float32));
    };
    if (!plan(0, s)) return false;
    const int64_t images = images_at_once(s.batch, gradient.copied_bytes());
    if (images == s.batch) {
      launch_gradient(grad_weight, gradient, {});
      return true;
    }
    const HopperShape shape = gradient.product->product().shape();
    const auto sums = scratch_on(grad_weight, shape.rows * shape.columns * int64_t(sizeof(float)));
    for (int64_t first = 0; first < s.batch; first += images) {
      Conv2dShape some = s;
      some.batch = std::min(images, s.batch - first);
      if (!plan(first, some)) return false;
      const bool last = first + some.batch == s.batch;
      launch_gradient(grad_weight, gradient, {sums.get(), first == 0, last});
    }
    return true;
  });
}

}  // namespace torchconv::cuda
