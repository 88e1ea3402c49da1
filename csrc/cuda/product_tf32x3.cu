// Products of float32 in three products of TF32 on tensor cores.
#include "cuda/product_launch.cuh"

namespace torchconv::cuda {

TORCHCONV_PRODUCTS(Tf32x3);

}  // namespace torchconv::cuda
