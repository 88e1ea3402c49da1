// The GPU of a tensor, and memory there. Kernels know tensors by name alone: torch's headers would
// take a compiler of CUDA half a minute in each file, since it reads them for every architecture.
#pragma once

#include <cstdint>
#include <memory>

namespace at {
class Tensor;
}

namespace torchconv::cuda {

/// What plans have to know.
struct Device {
  int processors;
  int capability;  // 90 for compute capability 9.0
};

/// Memory on the device of a tensor, aligned as tensors are. Whoever has it next runs behind what
/// has been launched by the time it is given back.
std::shared_ptr<void> scratch_on(const at::Tensor& tensor, int64_t bytes);

#ifdef TORCHCONV_WITH_CUDA

Device gpu_of(const at::Tensor& tensor);

/// Makes the device of a tensor the current one as long as it lives.
class CurrentDevice {
 public:
  explicit CurrentDevice(const at::Tensor& tensor);
  ~CurrentDevice();
  CurrentDevice(const CurrentDevice&) = delete;
  CurrentDevice& operator=(const CurrentDevice&) = delete;

  /// Its current cudaStream_t.
  void* stream() const { return stream_; }

 private:
  int before_;
  void* stream_;
};

/// Throws what torch throws, if a cudaError_t is one.
void check_cuda(int error);

#else

/// The host plays one with as many processors as an H200 has, but takes what only that has no more
/// than others do, unless it is forced to.
inline Device gpu_of(const at::Tensor&) { return {132, 80}; }

#endif

}  // namespace torchconv::cuda
