// Products of float64 on tensor cores.
#include "cuda/product_launch.cuh"

namespace torchconv::cuda {

TORCHCONV_PRODUCTS(Float64);

}  // namespace torchconv::cuda
