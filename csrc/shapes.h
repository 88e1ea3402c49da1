// Sizes of one convolution and one pooling: plain numbers, no torch headers, shared by every
// device.
#pragma once

#include <cstdint>

namespace torchconv {

/// A validated two-dimensional convolution. `Int` is int64_t in kernels and c10::SymInt in the meta
/// kernels, which must also work while torch.compile keeps sizes symbolic.
template <class Int>
struct BasicConv2dShape {
  Int batch, in_channels, in_h, in_w;
  Int out_channels, kernel_h, kernel_w;
  Int stride_h, stride_w;
  Int pad_left, pad_right, pad_top, pad_bottom;  // F.pad's order
  Int dilation_h, dilation_w;
  Int groups;
  Int out_h, out_w;

  Int group_in_channels() const { return in_channels / groups; }
  Int group_out_channels() const { return out_channels / groups; }
};
using Conv2dShape = BasicConv2dShape<int64_t>;

/// A validated two-dimensional pooling of x[batch, channels, in_h, in_w].
template <class Int>
struct BasicPool2dShape {
  Int batch, channels, in_h, in_w;
  Int kernel_h, kernel_w;
  Int stride_h, stride_w;
  Int pad_h, pad_w;
  Int dilation_h, dilation_w;
  Int out_h, out_w;
};
using Pool2dShape = BasicPool2dShape<int64_t>;

/// A window offset is `row * kernel_w + column` of the chosen element. It takes one byte while
/// every offset fits besides -1, which marks a window wholly in the padding; a larger window takes
/// four.
template <class Int>
bool offsets_fit_in_a_byte(const Int& kernel_h, const Int& kernel_w) {
  return kernel_h <= 255 && kernel_w <= 255 && kernel_h * kernel_w <= 255;
}

template <class Int>
Int ceil_div(const Int& a, const Int& b) {
  return (a + b - 1) / b;
}

}  // namespace torchconv
