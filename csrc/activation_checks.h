// What sigmoid and relu accept, on every device.
#pragma once

#include "checks.h"

namespace torchconv {

/// The dtype of sigmoid(x): that of x, or the default dtype where x holds integers.
at::ScalarType check_sigmoid(const at::Tensor& x);
void check_relu(const at::Tensor& x);
void check_activation_backward(const char* op, const at::Tensor& grad_out, const at::Tensor& out);

}  // namespace torchconv
