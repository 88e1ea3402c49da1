// conv2d_act_pool and its gradients on CUDA. Where pooling windows do not overlap, the convolution
// pools its own outputs, which are never written. Else, and for gradients, what lies between
// convolution and pooling is made for some images at a time, as many as an L2 cache has room for.
#include "conv2d_act_pool_checks.h"

#include <ATen/ops/empty.h>

#include "cuda/conv2d.h"
#include "cuda/conv2d_pooled.h"
#include "cuda/max_pool2d.h"
#include "cuda/register.h"
#include "cuda/relu_pooled.h"
#include "cuda/sigmoid.h"
#include "typed.h"

namespace torchconv {
namespace {

using ConvPool = ConvPoolShape<int64_t>;
using Ints = at::IntArrayRef;

// ---- portions ----------------------------------------------------------------------------------

/// Images whose convolution's output is made at a time.
class Portions {
 public:
  Portions(const ConvPool& s, const at::Tensor& like, at::MemoryFormat format) : s_(s) {
    constexpr int64_t kBytes = int64_t(32) << 20;
    const int64_t image = s.conv.out_channels * s.conv.out_h * s.conv.out_w * like.element_size();
    const bool whole = cuda::algorithm_of(s.conv) == cuda::Algorithm::kDirect;
    images_ = whole ? s.conv.batch : std::max<int64_t>(kBytes / std::max<int64_t>(image, 1), 1);
    images_ = std::min(images_, s.conv.batch);
    between_ = at::empty({images_, s.conv.out_channels, s.conv.out_h, s.conv.out_w},
                         like.options().memory_format(format));
  }

  int64_t images() const { return images_; }

  /// What lies between convolution and pooling, for so many images.
  at::Tensor between(int64_t images) const { return between_.narrow(0, 0, images); }

  Pool2dShape pool(int64_t images) const {
    Pool2dShape pool = s_.pool;
    pool.batch = images;
    return pool;
  }
  Conv2dShape conv(int64_t images) const {
    Conv2dShape conv = s_.conv;
    conv.batch = images;
    return conv;
  }

  /// Calls fn(first, images) for each portion.
  template <class Fn>
  void each(const Fn& fn) const {
    for (int64_t first = 0; first < s_.conv.batch; first += images_) {
      fn(first, std::min(images_, s_.conv.batch - first));
    }
  }

 private:
  const ConvPool& s_;
  int64_t images_;
  at::Tensor between_;
};

// ---- entries -----------------------------------------------------------------------------------

/// Fills out, and offsets if it is defined.
void conv2d_act_pool_into(const ConvPool& s, const at::Tensor& x, const at::Tensor& weight,
                          const std::optional<at::Tensor>& bias, Activation activation,
                          const at::Tensor& out, const at::Tensor& offsets) {
  if (out.numel() == 0) return;
  cuda::check_countable_on_gpu("conv2d_act_pool", s.conv);
  const bool relu = activation == Activation::kRelu;
  if (cuda::can_pool_at_once(x, s.conv, s.pool)) {
    cuda::conv2d_pooled_into(out, offsets, x, weight, bias, s.conv, s.pool, relu);
  } else {
    const Portions portions(s, x, common_format(x, weight));
    portions.each([&](int64_t first, int64_t images) {
      const at::Tensor between = portions.between(images);
      const auto part = [&](const at::Tensor& t) {
        return t.defined() ? t.narrow(0, first, images) : t;
      };
      cuda::conv2d_into(between, part(x), weight, bias, portions.conv(images));
      cuda::max_pool2d_into(part(out), part(offsets), between, portions.pool(images));
    });
    if (relu) {
      with_float_and_offset_type(
          out.scalar_type(), offset_dtype(s.pool), [&](auto type, auto offset) {
            using T = decltype(type);
            using Offset = decltype(offset);
            Offset* const to = offsets.defined() ? data_of<Offset>(offsets) : nullptr;
            cuda::launch_relu_pooled(out, data_of<T>(out), to, out.numel());
          });
    }
  }
  // Monotone, so that it may follow the pooling, on fewer elements.
  if (activation == Activation::kSigmoid) cuda::sigmoid_into(out, out);
}

struct Results {
  at::Tensor out, offsets;
};

Results conv2d_act_pool(const at::Tensor& x, const at::Tensor& weight,
                        const std::optional<at::Tensor>& bias, const ConvGeometry<int64_t>& conv,
                        const std::optional<std::string_view>& activation,
                        const PoolWindow<int64_t>& window, bool with_offsets) {
  const Activation act = check_activation("conv2d_act_pool", activation);
  const ConvPool s = check_conv2d_act_pool<int64_t>(x, weight, bias, conv, window);
  const auto empty = [&](at::ScalarType dtype) {
    return at::empty(s.out(), x.options().dtype(dtype).memory_format(common_format(x, weight)));
  };
  Results results{empty(x.scalar_type()), {}};
  if (with_offsets) results.offsets = empty(offset_dtype(s.pool));
  conv2d_act_pool_into(s, x, weight, bias, act, results.out, results.offsets);
  return results;
}

at::Tensor conv2d_act_pool_cuda(const at::Tensor& x, const at::Tensor& weight,
                                const std::optional<at::Tensor>& bias, Ints stride, Ints padding,
                                Ints dilation, int64_t groups,
                                std::optional<std::string_view> activation, Ints pool_size,
                                Ints pool_stride, Ints pool_padding, Ints pool_dilation,
                                bool ceil_mode) {
  return conv2d_act_pool(x, weight, bias, {stride, padding, dilation, groups}, activation,
                         {pool_size, pool_stride, pool_padding, pool_dilation, ceil_mode}, false)
      .out;
}

std::tuple<at::Tensor, at::Tensor> conv2d_act_pool_with_offsets_cuda(
    const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
    Ints stride, Ints padding, Ints dilation, int64_t groups,
    std::optional<std::string_view> activation, Ints pool_size, Ints pool_stride, Ints pool_padding,
    Ints pool_dilation, bool ceil_mode) {
  const Results results =
      conv2d_act_pool(x, weight, bias, {stride, padding, dilation, groups}, activation,
                      {pool_size, pool_stride, pool_padding, pool_dilation, ceil_mode}, true);
  return {results.out, results.offsets};
}

at::Tensor conv2d_pool_backward_input_cuda(const at::Tensor& grad_out, const at::Tensor& offsets,
                                           const at::Tensor& weight, Ints input_size, Ints stride,
                                           Ints padding, Ints dilation, int64_t groups,
                                           Ints pool_size, Ints pool_stride, Ints pool_padding,
                                           Ints pool_dilation, bool ceil_mode, bool channels_last) {
  const ConvPool s = check_conv2d_pool_backward_input<int64_t>(
      grad_out, offsets, weight, input_size, {stride, padding, dilation, groups},
      {pool_size, pool_stride, pool_padding, pool_dilation, ceil_mode});
  const at::Tensor grad_x =
      at::empty({s.conv.batch, s.conv.in_channels, s.conv.in_h, s.conv.in_w},
                grad_out.options().memory_format(image_format(channels_last)));
  if (grad_x.numel() == 0) return grad_x;
  if (s.conv.out_channels == 0) return grad_x.zero_();
  cuda::check_countable_on_gpu("conv2d_pool_backward_input", s.conv);
  const Portions portions(s, grad_out, common_format(offsets, weight));
  portions.each([&](int64_t first, int64_t images) {
    const at::Tensor between = portions.between(images);
    const auto part = [&](const at::Tensor& t) { return t.narrow(0, first, images); };
    cuda::max_pool2d_backward_into(between, part(grad_out), part(offsets), portions.pool(images));
    cuda::conv2d_backward_input_into(part(grad_x), between, weight, portions.conv(images));
  });
  return grad_x;
}

at::Tensor conv2d_pool_backward_weight_cuda(const at::Tensor& grad_out, const at::Tensor& offsets,
                                            const at::Tensor& x, Ints kernel_size, Ints stride,
                                            Ints padding, Ints dilation, int64_t groups,
                                            Ints pool_size, Ints pool_stride, Ints pool_padding,
                                            Ints pool_dilation, bool ceil_mode,
                                            bool channels_last) {
  const ConvPool s = check_conv2d_pool_backward_weight<int64_t>(
      grad_out, offsets, x, kernel_size, {stride, padding, dilation, groups},
      {pool_size, pool_stride, pool_padding, pool_dilation, ceil_mode});
  const at::Tensor grad_weight =
      at::empty({s.conv.out_channels, s.conv.group_in_channels(), s.conv.kernel_h, s.conv.kernel_w},
                grad_out.options().memory_format(image_format(channels_last)));
  if (grad_weight.numel() == 0) return grad_weight;
  if (s.conv.batch == 0) return grad_weight.zero_();
  cuda::check_countable_on_gpu("conv2d_pool_backward_weight", s.conv);
  const Portions portions(s, grad_out, common_format(offsets, x));
  cuda::conv2d_backward_weight_into(
      grad_weight, x, s.conv, portions.images(), [&](int64_t first, int64_t images) {
        const at::Tensor between = portions.between(images);
        const auto part = [&](const at::Tensor& t) { return t.narrow(0, first, images); };
        cuda::max_pool2d_backward_into(between, part(grad_out), part(offsets),
                                       portions.pool(images));
        return between;
      });
  return grad_weight;
}

}  // namespace

TORCHCONV_CUDA_LIBRARY(m) {
  m.impl("conv2d_act_pool", conv2d_act_pool_cuda);
  m.impl("conv2d_act_pool_with_offsets", conv2d_act_pool_with_offsets_cuda);
  m.impl("conv2d_pool_backward_input", conv2d_pool_backward_input_cuda);
  m.impl("conv2d_pool_backward_weight", conv2d_pool_backward_weight_cuda);
}

}  // namespace torchconv
