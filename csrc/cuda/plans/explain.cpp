#include "cuda/plans/explain.h"

#include <stdexcept>

#include "cuda/conv2d.h"
#include "cuda/conv2d_operands.h"
#include "cuda/hopper_conv2d.h"
#include "cuda/hopper_conv2d_weight.h"
#include "cuda/hopper_tensors.h"
#include "cuda/plans/float32_math.h"

namespace torchconv::cuda {
namespace {

/// A dense tensor that is nowhere, but aligned.
template <class T>
View4<T> dense_view(int64_t channels, int64_t height, int64_t width, bool channels_last) {
  if (channels_last) {
    return {nullptr, channels * height * width, 1, width * channels, channels};
  }
  return {nullptr, channels * height * width, height * width, width, 1};
}

template <class Kind, class T>
Conv2dExplanation explanation(ProductArgs<T> args, bool long_sum, const Device& device,
                              int64_t launches) {
  arrange(&args);
  const ProductPlan plan = plan_of<Kind>(args, long_sum, device);
  const ProductShape s = args.shape();
  const TileSizes tile = sizes_of_tile(plan.tile);
  const int64_t sums = plan.chunks == 1 ? 0 : plan.chunks * s.items * s.rows * s.columns;
  return {"product",   Kind::kName, std::to_string(tile.rows) + "x" + std::to_string(tile.columns),
          plan.chunks, launches,    sums * int64_t(sizeof(typename Kind::Sum))};
}

const Conv2dExplanation kNothing{"none", "", "", 0, 0, 0};

/// Of products by warpgroups: so many, which are alike but for the first one's tiles, and the bytes
/// of copies that they read.
template <class Kind, class T>
Conv2dExplanation hopper_explanation(const HopperProduct<T>& product, int64_t launches,
                                     int64_t copies) {
  const HopperShape s = product.shape();
  const HopperCut& cut = product.cut;
  const int64_t sums = cut.chunks == 1 ? 0 : cut.chunks * s.items * s.rows * s.columns;
  return {"wgmma",    Kind::kName, std::to_string(kTileRows) + "x" + std::to_string(cut.columns),
          cut.chunks, launches,    sums * int64_t(sizeof(float)) + copies};
}

template <class Kind, class T>
Conv2dExplanation hopper_explanation(HopperConvolution<T>* plan, int64_t groups) {
  int64_t copies = plan->copied_bytes();
  for (const auto& part : plan->parts) copies += part.packed() * int64_t(sizeof(T));
  const int64_t launches = groups * int64_t(plan->parts.size());
  return hopper_explanation<Kind>(plan->parts.front().product(), launches, copies);
}

/// Calls plan(shape), and anew for a portion of the images if their copies, of copied_bytes(), are
/// too large. Returns how many portions there are; 0 if plan returns false.
template <class Plan, class CopiedBytes>
int64_t portions_of(Conv2dShape s, const Plan& plan, const CopiedBytes& copied_bytes) {
  if (!plan(s)) return 0;
  const int64_t all = s.batch;
  s.batch = images_at_once(all, copied_bytes());
  return s.batch == all || plan(s) ? ceil_div(all, s.batch) : 0;
}

template <class T>
std::vector<Conv2dExplanation> explain(const Conv2dShape& s, bool channels_last,
                                       const Device& device) {
  const auto x = dense_view<const T>(s.in_channels, s.in_h, s.in_w, channels_last);
  const auto out = dense_view<T>(s.out_channels, s.out_h, s.out_w, channels_last);
  const auto weight =
      dense_view<const T>(s.group_in_channels(), s.kernel_h, s.kernel_w, channels_last);
  const View4<const T> grad_out{out.data, out.n, out.c, out.h, out.w};
  const View4<T> grad_x{nullptr, x.n, x.c, x.h, x.w};
  const View4<T> grad_weight{nullptr, weight.n, weight.c, weight.h, weight.w};
  const Float32Math float32 = float32_math(tf32_allowed_for_convolutions(), device.capability);
  return with_kind<T>(float32, [&](auto kind) -> std::vector<Conv2dExplanation> {
    using Kind = decltype(kind);
    int64_t parts = 0;
    ProductArgs<T> first;
    for_backward_input(s, grad_out, weight, grad_x, [&](const ProductArgs<T>& args) {
      if (parts == 0) first = args;
      parts += args.rows.sum.extent() > 0;
    });
    std::vector<Conv2dExplanation> all{
        explanation<Kind>(product_of(forward_of(s, x, weight, out)), false, device, 1),
        parts == 0 ? kNothing : explanation<Kind>(first, false, device, parts),
        explanation<Kind>(backward_weight_of(s, grad_out, x, grad_weight), true, device, 1)};
    constexpr bool kCan =
        std::is_same_v<Kind, Half<T>> || std::is_same_v<Kind, Tf32> || std::is_same_v<Kind, Tf32x3>;
    if constexpr (kCan) {
      const ConvGroups groups(s);
      const Conv2dShape& one = groups.one;
      const bool few = groups.count <= ConvGroups::kMost;
      if (!prefers_wgmma(device.capability) || !few || !hopper_counts(one)) return all;
      const bool split = splits<T>(float32);
      HopperConvolution<T> conv;
      const auto copied = [&] { return conv.copied_bytes(); };
      const auto forward = [&](const Conv2dShape& some) {
        return plan_hopper_conv2d(forward_of(some, x, weight, out), split, &conv);
      };
      const auto backward = [&](const Conv2dShape& some) {
        return plan_hopper_backward_input(some, grad_out, weight, grad_x, split, &conv);
      };
      if (const int64_t portions = portions_of(one, forward, copied)) {
        all[0] = hopper_explanation<Kind>(&conv, groups.count * portions);
      }
      conv = {};
      if (const int64_t portions = parts == 0 ? 0 : portions_of(one, backward, copied)) {
        all[1] = hopper_explanation<Kind>(&conv, groups.count * portions);
      }
      HopperWeightGradient<T> gradient;
      const auto plan = [&](const Conv2dShape& some) {
        return gradient.plan(some, x, grad_out, grad_weight, split);
      };
      if (const int64_t portions =
              portions_of(one, plan, [&] { return gradient.copied_bytes(); })) {
        all[2] = hopper_explanation<Kind>(gradient.product->product(), groups.count * portions,
                                          gradient.copied_bytes());
      }
    }
    return all;
  });
}

}  // namespace

std::vector<Conv2dExplanation> explain_conv2d(const std::vector<int64_t>& sizes,
                                              const std::string& dtype, bool channels_last,
                                              int processors, int capability) {
  if (sizes.size() != 18) throw std::invalid_argument("explain_conv2d: expected 18 sizes");
  const int64_t* n = sizes.data();
  const Conv2dShape s{n[0], n[1],  n[2],  n[3],  n[4],  n[5],  n[6],  n[7],  n[8],
                      n[9], n[10], n[11], n[12], n[13], n[14], n[15], n[16], n[17]};
  const bool empty =
      s.batch == 0 || s.in_channels == 0 || s.out_channels == 0 || s.in_h == 0 || s.in_w == 0;
  if (empty) return std::vector<Conv2dExplanation>(3, kNothing);
  check_countable_on_gpu("explain_conv2d", s);
  if (algorithm_of(s) == Algorithm::kDirect) {
    return std::vector<Conv2dExplanation>(3, {"direct", "", "", 0, 0, 0});
  }
  if (dtype == "float32") return explain<float>(s, channels_last, {processors, capability});
  if (dtype == "float64") return explain<double>(s, channels_last, {processors, capability});
  if (dtype == "bfloat16") return explain<bf16>(s, channels_last, {processors, capability});
  if (dtype == "float16") return explain<f16>(s, channels_last, {processors, capability});
  throw std::invalid_argument("explain_conv2d: expected a floating-point dtype, but got " + dtype);
}

}  // namespace torchconv::cuda
