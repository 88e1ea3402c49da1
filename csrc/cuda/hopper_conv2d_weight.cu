// The gradient of conv2d's weight on Hopper GPUs, as it is planned.
#include "cuda/hopper_conv2d_weight.h"

#include "cuda/hopper.h"
#include "typed.h"

namespace torchconv::cuda {

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
    HopperWeightGradient<T> gradient;
    if (!gradient.plan(s, view4<const T>(x), view4<const T>(grad_out), view4<T>(grad_weight),
                       splits<T>(float32))) {
      return false;
    }
    HopperProduct<T>& product = gradient.product->product();
    at::Tensor copies[2];  // until the product is launched
    const auto copy = [&](const std::optional<Relaid<T>>& image, TilePlan* load, at::Tensor* to) {
      if (!image || image->bytes() == 0) return;
      *to = image->copy(grad_weight);
      load->set_data(to->const_data_ptr());
    };
    copy(gradient.x, &product.row_load, &copies[0]);
    copy(gradient.grad_out, &product.column_load, &copies[1]);
    launch_hopper(grad_weight, product);
    return true;
  });
}

}  // namespace torchconv::cuda
