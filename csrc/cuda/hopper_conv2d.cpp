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

template <class T>
bool copies_too_much(const HopperConvolution<T>& plan, const Conv2dShape& s) {
  return s.batch > 1 && plan.source && plan.source->bytes() > most_copied_bytes;
}

/// Calls fn(first, shape) for two halves of the images, until it returns false.
template <class Fn>
bool in_halves(const Conv2dShape& s, const Fn& fn) {
  Conv2dShape front = s, back = s;
  front.batch = s.batch / 2;
  back.batch = s.batch - front.batch;
  return fn(int64_t(0), front) && fn(front.batch, back);
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
    if (copies_too_much(plan, s)) {
      return in_halves(s, [&](int64_t first, const Conv2dShape& some) {
        return hopper_conv2d(out.narrow(0, first, some.batch), x.narrow(0, first, some.batch),
                             weight, bias, some, float32);
      });
    }
    launch_convolution(out, plan);
    return true;
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
    if (copies_too_much(plan, s)) {
      return in_halves(s, [&](int64_t first, const Conv2dShape& some) {
        return hopper_conv2d_backward_input(grad_x.narrow(0, first, some.batch),
                                            grad_out.narrow(0, first, some.batch), weight, some,
                                            float32);
      });
    }
    launch_convolution(grad_x, plan);
    return true;
  });
}

}  // namespace torchconv::cuda
