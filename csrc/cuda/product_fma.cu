// Products of float32 by multiply-adds.
#include "cuda/product_launch.cuh"

namespace torchconv::cuda {

TORCHCONV_PRODUCTS(Fma);

}  // namespace torchconv::cuda
