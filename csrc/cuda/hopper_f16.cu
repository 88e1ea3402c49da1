// Products of f16 on Hopper GPUs.
#include "cuda/hopper_launch.cuh"

namespace torchconv::cuda {

template void launch_hopper<f16>(const at::Tensor&, const HopperProduct<f16>&, const Carry&);

}  // namespace torchconv::cuda
