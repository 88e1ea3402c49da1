// Types for which templates of kernels are compiled: TORCHCONV_EACH_FLOAT(X) is X(float) X(double)
// …
#pragma once

#include "views.h"

#define TORCHCONV_EACH_FLOAT(X) X(float) X(double) X(bf16) X(f16)
#define TORCHCONV_EACH_REAL(X) \
  TORCHCONV_EACH_FLOAT(X) X(uint8_t) X(int8_t) X(int16_t) X(int32_t) X(int64_t)
