// Tensor maps are written by the driver, whose functions are looked up as the program runs: a
// machine without a driver can still load the module.
#include "cuda/hopper_map.h"

#include "cuda/device.h"
#include "cuda/launch.cuh"

#ifndef __CUDACC__
#include "cuda/hopper_on_host.h"
#endif

namespace torchconv::cuda {
namespace {

constexpr int64_t kLineBytes = 128;

bool can_be_mapped(const MappedTensor& t) {
  const int64_t bytes = bytes_of(t.element);
  if (reinterpret_cast<uintptr_t>(t.data) % 16 != 0) return false;
  for (int d = 0; d < 4; ++d) {
    if (t.sizes[d] < 1 || t.sizes[d] > INT32_MAX) return false;
    if (t.sizes[d] == 1) continue;
    if (d == 0 ? t.steps[0] != 1 : t.steps[d] < 1) return false;
    if (d > 0 && (t.steps[d] * bytes % 16 != 0 || t.steps[d] >= (int64_t(1) << 40) / bytes)) {
      return false;
    }
  }
  return true;
}

/// Rows end at the size plus something, which has to fit into a byte, as has the beginning.
bool can_be_walked(const MappedTensor& t, const PixelWalk& walk) {
  const auto fits = [](int64_t corner) { return corner >= -128 && corner <= 127; };
  for (int i = 0; i < 2; ++i) {
    if (!fits(walk.first[i]) || !fits(walk.last[i] - (t.sizes[i + 1] - 1))) return false;
    if (walk.stride[i] < 1 || walk.stride[i] > 8 || walk.last[i] < walk.first[i]) return false;
  }
  return true;
}

#ifdef __CUDACC__

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

#endif

}  // namespace

bool map_boxes(const MappedTensor& t, const int (&box)[4], int swizzle_bytes, TensorMap* map) {
  if (!can_be_mapped(t)) return false;
#ifdef __CUDACC__
  static const auto encode =
      driver_function<decltype(&cuTensorMapEncodeTiled)>("cuTensorMapEncodeTiled");
  if (encode == nullptr) return false;
  const DriverTensor tensor(t);
  const cuuint32_t ones[4] = {1, 1, 1, 1};
  cuuint32_t sizes[4];
  for (int d = 0; d < 4; ++d) sizes[d] = static_cast<cuuint32_t>(box[d]);
  return encode(map, type_of(t.element), 4, const_cast<void*>(t.data), tensor.sizes, tensor.steps,
                sizes, ones, kPlain, swizzle_of(swizzle_bytes), kCached, kZeros) == CUDA_SUCCESS;
#else
  *map = {t, {box[0], box[1], box[2], box[3]}, swizzle_bytes, false, {}};
  return true;
#endif
}

bool map_pixels(const MappedTensor& t, const PixelWalk& walk, int pixels, TensorMap* map) {
  if (!can_be_mapped(t) || !can_be_walked(t, walk)) return false;
  const int channels = int(kLineBytes) / bytes_of(t.element);
#ifdef __CUDACC__
  static const auto encode =
      driver_function<decltype(&cuTensorMapEncodeIm2col)>("cuTensorMapEncodeIm2col");
  if (encode == nullptr) return false;
  const DriverTensor tensor(t);
  int lower[2], upper[2];
  cuuint32_t strides[4] = {1, 1, 1, 1};
  for (int i = 0; i < 2; ++i) {
    lower[i] = static_cast<int>(walk.first[i]);
    upper[i] = static_cast<int>(walk.last[i] - (t.sizes[i + 1] - 1));
    strides[i + 1] = static_cast<cuuint32_t>(walk.stride[i]);
  }
  return encode(map, type_of(t.element), 4, const_cast<void*>(t.data), tensor.sizes, tensor.steps,
                lower, upper, static_cast<cuuint32_t>(channels), static_cast<cuuint32_t>(pixels),
                strides, kPlain, CU_TENSOR_MAP_SWIZZLE_128B, kCached, kZeros) == CUDA_SUCCESS;
#else
  *map = {t, {channels, pixels, 1, 1}, int(kLineBytes), true, walk};
  return true;
#endif
}

#ifdef __CUDACC__

namespace {

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

bool has_hopper_code(const at::Tensor& on) {
  if (gpu_of(on).capability != 90) return false;
  const c10::cuda::CUDAGuard guard(on.device());
  cudaFuncAttributes attributes{};
  C10_CUDA_CHECK(cudaFuncGetAttributes(&attributes, hopper_probe));
  return attributes.sharedSizeBytes > 0;
}

#else

bool has_hopper_code(const at::Tensor& on) { return gpu_of(on).capability == 90; }

#endif

}  // namespace torchconv::cuda
