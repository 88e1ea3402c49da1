// How float32 is multiplied on a GPU.
#pragma once

#include "cuda/plans/product_plan.h"

namespace torchconv::cuda {

/// Whether torch would take TF32: torch.backends.cudnn.allow_tf32 decides for convolutions,
/// torch.backends.cuda.matmul.allow_tf32 for products of matrices, or what has come in their place
/// (fp32_precision, set_float32_matmul_precision).
bool tf32_allowed_for_convolutions();
bool tf32_allowed_for_matrices();

/// As accurately as float32, on a GPU of this compute capability. Three products on tensor cores
/// are quicker than multiply-adds where tensor cores multiply TF32 at least four times as fast: on
/// the GPUs of data centres.
Float32Math strict_float32_math(int capability);

/// What is forced; else TF32, if it is allowed.
Float32Math float32_math(bool tf32_allowed, int capability);

}  // namespace torchconv::cuda
