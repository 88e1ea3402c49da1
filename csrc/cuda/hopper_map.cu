// Tensor maps are written by the driver, whose functions are looked up as the program runs: a
// machine without a driver can still load the module.
#include "cuda/hopper_map.h"

#include <stdexcept>
#include <string>

#include "cuda/device.h"
#include "cuda/hopper_product.h"
#include "cuda/launch.cuh"

namespace torchconv::cuda {

#ifdef __CUDACC__

namespace {

/// A function of the driver, or nullptr.
template <class Function>
Function driver_function(const char* name) {
  void* found = nullptr;
  cudaDriverEntryPointQueryResult result = cudaDriverEntryPointSymbolNotFound;
#if CUDART_VERSION >= 12050
  const cudaError_t error =
      cudaGetDriverEntryPointByVersion(name, &found, 12000, cudaEnableDefault, &result);
#else
  const cudaError_t error = cudaGetDriverEntryPoint(name, &found, cudaEnableDefault, &result);
#endif
  if (error != cudaSuccess) (void)cudaGetLastError();
  const bool there = error == cudaSuccess && result == cudaDriverEntryPointSuccess;
  return there ? reinterpret_cast<Function>(found) : nullptr;
}

CUtensorMapDataType type_of(MapElement element) {
  switch (element) {
    case MapElement::kBf16:
      return CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
    case MapElement::kF16:
      return CU_TENSOR_MAP_DATA_TYPE_FLOAT16;
    default:
      return CU_TENSOR_MAP_DATA_TYPE_TFLOAT32;
  }
}

CUtensorMapSwizzle swizzle_of(int bytes) {
  return bytes == 128  ? CU_TENSOR_MAP_SWIZZLE_128B
         : bytes == 64 ? CU_TENSOR_MAP_SWIZZLE_64B
                       : CU_TENSOR_MAP_SWIZZLE_32B;
}

auto encode_boxes() {
  static const auto encode =
      driver_function<decltype(&cuTensorMapEncodeTiled)>("cuTensorMapEncodeTiled");
  return encode;
}
auto encode_pixels() {
  static const auto encode =
      driver_function<decltype(&cuTensorMapEncodeIm2col)>("cuTensorMapEncodeIm2col");
  return encode;
}

/// Sizes and steps in the types of the driver.
struct DriverTensor {
  cuuint64_t sizes[4], steps[3];

  explicit DriverTensor(const MappedTensor& t) {
    for (int d = 0; d < 4; ++d) sizes[d] = static_cast<cuuint64_t>(t.sizes[d]);
    for (int d = 1; d < 4; ++d) {
      const int64_t step = t.sizes[d] == 1 ? kLineBytes : t.steps[d] * bytes_of(t.element);
      steps[d - 1] = static_cast<cuuint64_t>(step);
    }
  }
};

constexpr auto kPlain = CU_TENSOR_MAP_INTERLEAVE_NONE;
constexpr auto kCached = CU_TENSOR_MAP_L2_PROMOTION_L2_128B;
constexpr auto kZeros = CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE;

/// Has shared memory only where it is compiled for sm_90a. A module may have parts for several
/// devices, of which the driver takes one; this kernel, of which nothing but its attributes is
/// used, tells which.
__global__ void hopper_probe(int* out) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  __shared__ volatile int marker[32];
  marker[threadIdx.x % 32] = 1;
  *out = marker[0];
#endif
}

}  // namespace

TensorMap map_of(const MapRequest& r) {
  const MappedTensor& t = r.tensor;
  const DriverTensor tensor(t);
  const auto type = type_of(t.element);
  void* const data = const_cast<void*>(t.data);
  TensorMap map;
  CUresult result;
  if (r.pixels) {
    int lower[2], upper[2];
    cuuint32_t strides[4] = {1, 1, 1, 1};
    for (int i = 0; i < 2; ++i) {
      lower[i] = static_cast<int>(r.walk.first[i]);
      upper[i] = static_cast<int>(r.walk.last[i] - (t.sizes[i + 1] - 1));
      strides[i + 1] = static_cast<cuuint32_t>(r.walk.stride[i]);
    }
    result = encode_pixels()(&map, type, 4, data, tensor.sizes, tensor.steps, lower, upper,
                             static_cast<cuuint32_t>(r.box[0]), static_cast<cuuint32_t>(r.box[1]),
                             strides, kPlain, swizzle_of(r.swizzle), kCached, kZeros);
  } else {
    const cuuint32_t ones[4] = {1, 1, 1, 1};
    cuuint32_t box[4];
    for (int d = 0; d < 4; ++d) box[d] = static_cast<cuuint32_t>(r.box[d]);
    result = encode_boxes()(&map, type, 4, data, tensor.sizes, tensor.steps, box, ones, kPlain,
                            swizzle_of(r.swizzle), kCached, kZeros);
  }
  if (result != CUDA_SUCCESS) {
    throw std::runtime_error("CUDA driver: no tensor map, error " + std::to_string(result));
  }
  return map;
}

bool has_hopper_code(const at::Tensor& on) {
  if (gpu_of(on).capability != 90) return false;
  if (encode_boxes() == nullptr || encode_pixels() == nullptr) return false;
  const CurrentDevice device(on);
  cudaFuncAttributes attributes{};
  check_cuda(cudaFuncGetAttributes(&attributes, hopper_probe));
  return attributes.sharedSizeBytes > 0;
}

#else

TensorMap map_of(const MapRequest& request) { return request; }

bool has_hopper_code(const at::Tensor&) { return true; }

#endif

}  // namespace torchconv::cuda
