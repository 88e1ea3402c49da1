// conv2d and its gradients on CUDA: by which kernels, in how many launches.
#include "cuda/conv2d.h"
#include "cuda/conv2d_operands.h"
#include "cuda/conv2d_pooled.h"
#include "cuda/device.h"
#include "cuda/direct.h"
#include "cuda/hopper.h"
#include "cuda/plans/float32_math.h"
#include "typed.h"

namespace torchconv::cuda {
namespace {

Float32Math math_on(const at::Tensor& tensor) {
  return float32_math(tf32_allowed_for_convolutions(), gpu_of(tensor).capability);
}

/// So many images that their pixels can be counted.
int64_t countable_images(const Conv2dShape& s) {
  const int64_t pixels = std::max({s.out_h * s.out_w, s.in_h * s.in_w, int64_t(1)});
  return std::max<int64_t>(kMostExtent / pixels, 1);
}

/// Calls fn(first, shape of some images) for so many images at a time.
template <class Fn>
void for_images(const Conv2dShape& s, int64_t images, const Fn& fn) {
  images = std::min(images, countable_images(s));
  for (int64_t first = 0; first < s.batch; first += images) {
    Conv2dShape some = s;
    some.batch = std::min(images, s.batch - first);
    fn(first, some);
  }
}

/// conv2d of some images, from the first one on.
template <class T>
Correlation<T> correlation_of(const at::Tensor& out, const at::Tensor& x, const at::Tensor& weight,
                              const std::optional<at::Tensor>& bias, int64_t first,
                              const Conv2dShape& some) {
  View4<const T> from = view4<const T>(x);
  View4<T> to = view4<T>(out);
  from.data += first * from.n;
  to.data += first * to.n;
  Correlation<T> correlation = forward_of(some, from, view4<const T>(weight), to);
  if (bias) {
    correlation.bias = data_of<const T>(*bias);
    correlation.bias_step = bias->stride(0);
  }
  return correlation;
}

}  // namespace

void conv2d_into(const at::Tensor& out, const at::Tensor& x, const at::Tensor& weight,
                 const std::optional<at::Tensor>& bias, const Conv2dShape& s) {
  if (algorithm_of(s) == Algorithm::kDirect) return direct_conv2d(out, x, weight, bias, s);
  const Float32Math math = math_on(out);
  if (prefers_wgmma(gpu_of(out).capability) && hopper_conv2d(out, x, weight, bias, s, math)) return;
  for_images(s, s.batch, [&](int64_t first, const Conv2dShape& some) {
    with_float_type(x.scalar_type(), [&](auto type) {
      using T = decltype(type);
      const auto correlation = correlation_of<T>(out, x, weight, bias, first, some);
      compute_product(out, product_of(correlation), math, false);
    });
  });
}

bool can_pool_at_once(const at::Tensor& x, const Conv2dShape& conv, const Pool2dShape& pool) {
  constexpr int64_t kMostElements = 16;
  const auto apart = [](int64_t kernel, int64_t dilation, int64_t stride) {
    return kernel == 1 || (dilation < stride && (kernel - 1) * dilation < stride);
  };
  const auto countable = [](int64_t kernel, int64_t dilation, int64_t stride, int64_t pad,
                            int64_t conv_stride, int64_t padded) {
    if (kernel > kMostElements || dilation >= kMostExtent || stride >= kMostExtent) return false;
    return padded + (pad + (kernel - 1) * dilation) * conv_stride < kMostExtent;
  };
  if (algorithm_of(conv) != Algorithm::kProduct ||
      !countable(pool.kernel_h, pool.dilation_h, pool.stride_h, pool.pad_h, conv.stride_h,
                 conv.in_h + conv.pad_top + conv.pad_bottom) ||
      !countable(pool.kernel_w, pool.dilation_w, pool.stride_w, pool.pad_w, conv.stride_w,
                 conv.in_w + conv.pad_left + conv.pad_right)) {
    return false;
  }
  bool one_part = false;  // of the sum
  with_float_type(x.scalar_type(), [&](auto type) {
    with_kind<decltype(type)>(math_on(x), [&](auto kind) {
      one_part = conv.group_in_channels() * conv.kernel_h * conv.kernel_w <=
                 terms_at_once(conv.group_out_channels(), decltype(kind)::kMostTerms);
    });
  });
  return one_part && pool.kernel_h * pool.kernel_w <= kMostElements &&
         apart(pool.kernel_h, pool.dilation_h, pool.stride_h) &&
         apart(pool.kernel_w, pool.dilation_w, pool.stride_w);
}

void conv2d_pooled_into(const at::Tensor& out, const at::Tensor& offsets, const at::Tensor& x,
                        const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                        const Conv2dShape& conv, const Pool2dShape& pool, bool relu) {
  const Float32Math math = math_on(out);
  for_images(conv, conv.batch, [&](int64_t first, const Conv2dShape& some) {
    with_float_type(x.scalar_type(), [&](auto type) {
      using T = decltype(type);
      const auto correlation = correlation_of<T>(out, x, weight, bias, first, some);
      PooledWindow window;
      const ProductArgs<T> args = pooled_product_of(correlation, pool, &window);
      window.relu = relu;
      if (offsets.defined()) {
        window.offsets = data_of<uint8_t>(offsets) + first * offsets.stride(0);
      }
      compute_pooled_product(out, args, math, window);
    });
  });
}

void conv2d_backward_input_into(const at::Tensor& grad_x, const at::Tensor& grad_out,
                                const at::Tensor& weight, const Conv2dShape& s) {
  if (algorithm_of(s) == Algorithm::kDirect) {
    return direct_conv2d_backward_input(grad_x, grad_out, weight, s);
  }
  const Float32Math math = math_on(grad_x);
  if (prefers_wgmma(gpu_of(grad_x).capability) &&
      hopper_conv2d_backward_input(grad_x, grad_out, weight, s, math)) {
    return;
  }
  if (!MetRemainders(s).all) grad_x.zero_();
  for_images(s, s.batch, [&](int64_t first, const Conv2dShape& some) {
    with_float_type(grad_x.scalar_type(), [&](auto type) {
      using T = decltype(type);
      View4<const T> from = view4<const T>(grad_out);
      View4<T> to = view4<T>(grad_x);
      from.data += first * from.n;
      to.data += first * to.n;
      for_backward_input(some, from, view4<const T>(weight), to, [&](const ProductArgs<T>& args) {
        if (args.rows.sum.extent() > 0) compute_product(grad_x, args, math, false);
      });
    });
  });
}

void conv2d_backward_weight_into(const at::Tensor& grad_weight, const at::Tensor& x,
                                 const Conv2dShape& s, int64_t images,
                                 const std::function<at::Tensor(int64_t, int64_t)>& make) {
  if (algorithm_of(s) == Algorithm::kDirect) {  // which carries no sums on
    return direct_conv2d_backward_weight(grad_weight, make(0, s.batch), x, s);
  }
  const Float32Math math = math_on(grad_weight);
  if (prefers_wgmma(gpu_of(grad_weight).capability) && images >= s.batch &&
      hopper_conv2d_backward_weight(grad_weight, make(0, s.batch), x, s, math)) {
    return;
  }
  std::shared_ptr<void> sums;
  for_images(s, images, [&](int64_t first, const Conv2dShape& some) {
    const at::Tensor grad_out = make(first, some.batch);
    with_float_type(x.scalar_type(), [&](auto type) {
      using T = decltype(type);
      Carry carry{nullptr, first == 0, first + some.batch == s.batch};
      if (some.batch < s.batch) {
        if (sums == nullptr) {
          sums = scratch_on(x, grad_weight.numel() * int64_t(sizeof(Accumulator<T>)));
        }
        carry.sums = sums.get();
      }
      View4<const T> from = view4<const T>(x);
      from.data += first * from.n;
      const auto args =
          backward_weight_of(some, view4<const T>(grad_out), from, view4<T>(grad_weight));
      compute_product(grad_weight, args, math, true, carry);
    });
  });
}

}  // namespace torchconv::cuda
