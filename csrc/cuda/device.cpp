#include "cuda/device.h"

#include <ATen/ops/empty.h>

#ifdef TORCHCONV_WITH_CUDA
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>
#endif

namespace torchconv::cuda {

std::shared_ptr<void> scratch_on(const at::Tensor& tensor, int64_t bytes) {
  const auto owner = std::make_shared<at::Tensor>(
      at::empty({bytes}, at::TensorOptions(tensor.device()).dtype(at::kByte)));
  return {owner, owner->mutable_data_ptr()};
}

#ifdef TORCHCONV_WITH_CUDA

Device gpu_of(const at::Tensor& tensor) {
  const auto attribute = [&](cudaDeviceAttr which) {
    int value = 0;
    C10_CUDA_CHECK(cudaDeviceGetAttribute(&value, which, tensor.device().index()));
    return value;
  };
  return {attribute(cudaDevAttrMultiProcessorCount),
          10 * attribute(cudaDevAttrComputeCapabilityMajor) +
              attribute(cudaDevAttrComputeCapabilityMinor)};
}

CurrentDevice::CurrentDevice(const at::Tensor& tensor)
    : before_(c10::cuda::ExchangeDevice(tensor.device().index())),
      stream_(c10::cuda::getCurrentCUDAStream(tensor.device().index()).stream()) {}

CurrentDevice::~CurrentDevice() {
  c10::cuda::MaybeSetDevice(static_cast<c10::DeviceIndex>(before_));
}

void check_cuda(int error) { C10_CUDA_CHECK(static_cast<cudaError_t>(error)); }

#endif

}  // namespace torchconv::cuda
