// The CUDA kernels of csrc/cuda, compiled for the host, in the place of the CPU's own: see
// tests/devices.py.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <torch/csrc/utils/pybind.h>
#include <torch/library.h>

#include <memory>

#include "cuda/arithmetic.cuh"
#include "cuda/hopper.h"
#include "cuda/plans/choice.h"
#include "cuda/register.h"
#include "cuda/relaid.h"
#include "cuda/tile.cuh"

namespace {

using torchconv::cuda::Axis, torchconv::cuda::Digit, torchconv::cuda::Place, torchconv::cuda::Tile;

/// Where all indices of an axis lead to, whose digits are (extent, offset, row, column).
auto places_of_axis(const std::vector<std::tuple<int64_t, int64_t, int, int>>& digits) {
  const auto digit = [&](int i) {
    const auto& [extent, offset, row, column] = digits.at(i);
    return Digit{extent, offset, row, column};
  };
  const Axis axis(digit(0), digit(1), digit(2));
  std::vector<std::tuple<int64_t, int, int>> places;
  for (int i = 0; i < axis.extent(); ++i) {
    const Place place = axis(i);
    places.emplace_back(place.offset, place.row, place.column);
  }
  return places;
}

template <class T, bool along_sum>
auto places_in_tile() {
  using Of = Tile<T, 64, along_sum>;
  std::vector<std::vector<int>> lines(Of::kLines);
  for (int line = 0; line < Of::kLines; ++line) {
    for (int chunk = 0; chunk < Of::kChunks; ++chunk) lines[line].push_back(Of::at(line, chunk));
  }
  return lines;
}

// Whether Hopper kernels take something, and what they then make of it.

torchconv::cuda::Float32Math float32_of(bool split) {
  return split ? torchconv::cuda::Float32Math::kTf32x3 : torchconv::cuda::Float32Math::kTf32;
}

bool hopper_matmul(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, bool split) {
  using namespace torchconv::cuda;
  return hopper_matmul(out, a, b, std::nullopt, Batch(), out.size(0), float32_of(split));
}

using Ints = std::vector<int64_t>;

/// `what` is out, grad_x or grad_weight, and is written; the other two tensors are read.
bool hopper_conv2d(const std::string& what, const at::Tensor& x, const at::Tensor& weight,
                   const at::Tensor& out, const std::optional<at::Tensor>& bias, const Ints& stride,
                   const Ints& padding, const Ints& dilation, bool split) {
  using namespace torchconv::cuda;
  const torchconv::Conv2dShape s{
      x.size(0),      x.size(1),   x.size(2),   x.size(3),  weight.size(0), weight.size(2),
      weight.size(3), stride[0],   stride[1],   padding[0], padding[1],     padding[2],
      padding[3],     dilation[0], dilation[1], 1,          out.size(2),    out.size(3)};
  const Float32Math float32 = float32_of(split);
  if (what == "out") return torchconv::cuda::hopper_conv2d(out, x, weight, bias, s, float32);
  if (what == "grad_x") return hopper_conv2d_backward_input(x, out, weight, s, float32);
  return hopper_conv2d_backward_weight(weight, out, x, s, float32);
}

}  // namespace

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {
  static std::unique_ptr<torch::Library> library;
  m.def("enable", [] {
    library = std::make_unique<torch::Library>(torch::Library::IMPL, "torchconv",
                                               c10::DispatchKey::CPU, __FILE__, __LINE__);
    for (const auto add_to : torchconv::cuda::registrations()) add_to(*library);
  });
  m.def("disable", [] { library.reset(); });
  m.def("set_choice", [](const std::string& what, const std::string& name) {
    torchconv::cuda::choice(what).force(name);
  });
  m.def("set_most_copied_bytes", [](int64_t bytes) { torchconv::cuda::most_copied_bytes = bytes; });
  m.def("hopper_matmul", hopper_matmul);
  m.def("hopper_conv2d", hopper_conv2d);
  m.def("places_of_axis", places_of_axis);
  m.def("places_in_tile", [](int element_bytes, bool along_sum) {
    using torchconv::bf16;
    if (element_bytes == 2) {
      return along_sum ? places_in_tile<bf16, true>() : places_in_tile<bf16, false>();
    }
    if (element_bytes == 4) {
      return along_sum ? places_in_tile<float, true>() : places_in_tile<float, false>();
    }
    return along_sum ? places_in_tile<double, true>() : places_in_tile<double, false>();
  });
  m.def("divide_32", [](int32_t n, int32_t divisor) {
    return torchconv::cuda::Divider<int32_t>(divisor).quotient(n);
  });
  m.def("divide_64", [](int64_t n, int64_t divisor) {
    return torchconv::cuda::Divider<int64_t>(divisor).quotient(n);
  });
}
