// The CUDA kernels of csrc/cuda, compiled for the host, in the place of the CPU's own: see
// tests/devices.py.
#include <pybind11/pybind11.h>
#include <torch/library.h>

#include <memory>

#include "cuda/arithmetic.cuh"
#include "cuda/register.cuh"

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {
  static std::unique_ptr<torch::Library> library;
  m.def("enable", [] {
    library = std::make_unique<torch::Library>(torch::Library::IMPL, "torchconv",
                                               c10::DispatchKey::CPU, __FILE__, __LINE__);
    for (const auto add_to : torchconv::cuda::registrations()) add_to(*library);
  });
  m.def("disable", [] { library.reset(); });
  m.def("divide_32", [](int32_t n, int32_t divisor) {
    return torchconv::cuda::Divider<int32_t>(divisor).quotient(n);
  });
  m.def("divide_64", [](int64_t n, int64_t divisor) {
    return torchconv::cuda::Divider<int64_t>(divisor).quotient(n);
  });
}
