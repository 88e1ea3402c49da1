#include "cuda/plans/choice.h"

#include <stdexcept>

#include "environment.h"

namespace torchconv::cuda {

Choice::Choice(const char* variable, std::vector<std::string> names)
    : names_(std::move(names)), index_(static_cast<int>(environment_choice(variable, names_, 0))) {}

void Choice::force(const std::string& name) {
  index_.store(static_cast<int>(index_of(name, names_, "expected")));
}

Choice& algorithm_choice() {
  static Choice algorithm("TORCHCONV_CUDA_ALGORITHM", {"automatic", "product", "direct", "wgmma"});
  return algorithm;
}
Choice& tile_choice() {
  static Choice tile("TORCHCONV_CUDA_TILE", {"automatic", "128x128", "128x64", "64x64"});
  return tile;
}
Choice& float32_choice() {
  static Choice float32("TORCHCONV_CUDA_FLOAT32", {"automatic", "tf32", "tf32x3", "fma"});
  return float32;
}

bool prefers_wgmma(int capability) {
  const Choice& choice = algorithm_choice();
  if (choice.forced()) return choice.as<Algorithm>() == Algorithm::kWgmma;
  return capability == 90 && !tile_choice().forced();
}

Choice& choice(const std::string& what) {
  if (what == "algorithm") return algorithm_choice();
  if (what == "tile") return tile_choice();
  if (what == "float32") return float32_choice();
  throw std::invalid_argument("expected algorithm, tile or float32, but got '" + what + "'");
}

}  // namespace torchconv::cuda
