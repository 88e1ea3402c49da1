#include "cuda/plans/choice.h"

#include <cstdlib>
#include <stdexcept>

namespace torchconv::cuda {

Choice::Choice(const char* variable, std::vector<std::string> names) : names_(std::move(names)) {
  const char* value = std::getenv(variable);
  if (value == nullptr || *value == '\0') return;
  try {
    force(value);
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(std::string(variable) + ": " + error.what());
  }
}

void Choice::force(const std::string& name) {
  std::string known;
  for (size_t i = 0; i < names_.size(); ++i) {
    if (name == names_[i]) return index_.store(static_cast<int>(i));
    known += (i == 0 ? "" : ", ") + names_[i];
  }
  throw std::invalid_argument("expected one of " + known + ", but got '" + name + "'");
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
