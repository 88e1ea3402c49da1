// Products of f16 on tensor cores.
#include "cuda/product_launch.cuh"

namespace torchconv::cuda {

TORCHCONV_PRODUCTS(Half<f16>);

}  // namespace torchconv::cuda
