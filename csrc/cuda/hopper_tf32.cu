// Products of float32 rounded to TF32 on Hopper GPUs.
#include "cuda/hopper_launch.cuh"

namespace torchconv::cuda {

template void launch_hopper<float>(const at::Tensor&, const HopperProduct<float>&, const Carry&);

}  // namespace torchconv::cuda
