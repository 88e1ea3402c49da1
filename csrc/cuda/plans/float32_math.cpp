#include "cuda/plans/float32_math.h"

#include <ATen/Context.h>

#include "cuda/plans/choice.h"

namespace torchconv::cuda {

bool tf32_allowed_for_convolutions() {
  return at::globalContext().allowTF32CuDNN(at::Float32Op::CONV);
}
bool tf32_allowed_for_matrices() { return at::globalContext().allowTF32CuBLAS(); }

Float32Math strict_float32_math(int capability) {
  const Choice& choice = float32_choice();
  if (choice.forced() && choice.as<Float32Math>() != Float32Math::kTf32) {
    return choice.as<Float32Math>();
  }
  const int family = capability / 10;
  const bool data_centre = capability == 80 || family == 9 || family == 10;
  return data_centre ? Float32Math::kTf32x3 : Float32Math::kFma;
}

Float32Math float32_math(bool tf32_allowed, int capability) {
  const Choice& choice = float32_choice();
  if (choice.forced()) return choice.as<Float32Math>();
  return tf32_allowed ? Float32Math::kTf32 : strict_float32_math(capability);
}

}  // namespace torchconv::cuda
