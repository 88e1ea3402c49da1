// conv2d and its input's gradient on Hopper GPUs, as they are planned.
#include "cuda/hopper_conv2d.h"

#include "cuda/hopper.h"
#include "cuda/hopper_tensors.h"

namespace torchconv::cuda {
namespace {

template <class T>
void launch_convolution(const at::Tensor& on, HopperConvolution<T>& plan) {
  if (plan.zeros) on.zero_();
  std::shared_ptr<void> source;
  if (plan.source && plan.source->bytes() > 0) source = plan.source->copy(on);
  for (HopperCorrelation<T>& part : plan.parts) {
    HopperProduct<T>& product = part.product();
    if (source != nullptr) product.row_load.set_data(source.get());
    std::shared_ptr<void> packed;
    if (part.packed() > 0) {
      packed = pack_weights(on, part);
      product.column_load.set_data(packed.get());
    }
    launch_hopper(on, product);
  }
}

/// Launches a plan. If its copy is too large, calls fn(first, shape) for some images at a time
/// instead, until it returns false.
template <class T, class Fn>
bool launch_or_divide(const at::Tensor& on, HopperConvolution<T>& plan, const Conv2dShape& s,
                      const Fn& fn) {
  const int64_t images = images_at_once(s.batch, plan.copied_bytes());
  if (images == s.batch) {
    launch_convolution(on, plan);
    return true;
  }
  for (int64_t first = 0; first < s.batch; first += images) {
    Conv2dShape some = s;
    some.batch = std::min(images, s.batch - first);
    if (!fn(first, some)) return false;
  }
  return true;
}

}  // namespace

bool hopper_conv2d(const at::Tensor& out, const at::Tensor& x, const at::Tensor& weight,
                   const std::optional<at::Tensor>& bias, const Conv2dShape& s,
                   Float32Math float32) {
  if (s.groups > 1) {
    const ConvGroups groups(s);
    return groups.all([&](int64_t group) {
      std::optional<at::Tensor> own;
      if (bias) own = groups.outs(*bias, group, 0);
      return hopper_conv2d(groups.outs(out, group), groups.ins(x, group),
                           groups.outs(weight, group, 0), own, groups.one, float32);
    });
  }
  if (!takes_hopper(out, s, float32)) return false;
  return with_hopper_type(out.scalar_type(), [&](auto type) {
    using T = decltype(type);
    Correlation<T> c = forward_of(s, view4<const T>(x), view4<const T>(weight), view4<T>(out));
    if (bias) {
      c.bias = data_of<const T>(*bias);
      c.bias_step = bias->stride(0);
    }
    HopperConvolution<T> plan;
    if (!plan_hopper_conv2d(c, splits<T>(float32), &plan)) return false;
    return launch_or_divide(out, plan, s, [&](int64_t first, const Conv2dShape& some) {
      return hopper_conv2d(out.narrow(0, first, some.batch), x.narrow(0, first, some.batch), weight,
                           bias, some, float32);
    });
  });
}

bool hopper_conv2d_backward_input(const at::Tensor& grad_x, const at::Tensor& grad_out,
                                  const at::Tensor& weight, const Conv2dShape& s,
                                  Float32Math float32) {
  if (s.groups > 1) {
    const ConvGroups groups(s);
    return groups.all([&](int64_t group) {
      return hopper_conv2d_backward_input(groups.ins(grad_x, group), groups.outs(grad_out, group),
                                          groups.outs(weight, group, 0), groups.one, float32);
    });
  }
  if (!takes_hopper(grad_x, s, float32)) return false;
  return with_hopper_type(grad_x.scalar_type(), [&](auto type) {
    using T = decltype(type);
    HopperConvolution<T> plan;
    if (!plan_hopper_backward_input(s, view4<const T>(grad_out), view4<const T>(weight),
                                    view4<T>(grad_x), splits<T>(float32), &plan)) {
      return false;
    }
    return launch_or_divide(grad_x, plan, s, [&](int64_t first, const Conv2dShape& some) {
      return hopper_conv2d_backward_input(grad_x.narrow(0, first, some.batch),
                                          grad_out.narrow(0, first, some.batch), weight, some,
                                          float32);
    });
  });
}

}  // namespace torchconv::cuda
