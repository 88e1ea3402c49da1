// Products of bf16 on Hopper GPUs.
#include "cuda/hopper_launch.cuh"

namespace torchconv::cuda {

template void launch_hopper<bf16>(const at::Tensor&, const HopperProduct<bf16>&, const Carry&);

}  // namespace torchconv::cuda
