// Products of float32 rounded to TF32 on tensor cores.
#include "cuda/product_launch.cuh"

namespace torchconv::cuda {

TORCHCONV_PRODUCTS(Tf32);

}  // namespace torchconv::cuda
