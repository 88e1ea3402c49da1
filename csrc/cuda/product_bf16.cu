// Products of bf16 on tensor cores.
#include "cuda/product_launch.cuh"

namespace torchconv::cuda {

TORCHCONV_PRODUCTS(Half<bf16>);

}  // namespace torchconv::cuda
