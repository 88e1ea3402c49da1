// Tensor maps as the driver writes them.
#pragma once

#include "cuda/plans/hopper_tensor.h"

#ifdef __CUDACC__
#include <cuda.h>
#endif

namespace torchconv::cuda {

#ifdef __CUDACC__
using TensorMap = CUtensorMap;
#else
using TensorMap = MapRequest;
#endif

/// Throws if the driver refuses.
TensorMap map_of(const MapRequest& request);

}  // namespace torchconv::cuda
