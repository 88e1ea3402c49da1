// What a user has forced of the choices for GPUs; else they are made by shape and device. Until it
// is forced otherwise, the environment decides: TORCHCONV_CUDA_ALGORITHM, TORCHCONV_CUDA_TILE,
// TORCHCONV_CUDA_FLOAT32.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "cuda/plans/product_plan.h"

namespace torchconv::cuda {

enum class Algorithm { kProduct, kDirect, kWgmma };

/// One of some names; the first, "automatic", forces nothing.
class Choice {
 public:
  /// The value of an environment variable, if it is set. Throws std::invalid_argument unless it is
  /// one of the names.
  Choice(const char* variable, std::vector<std::string> names);

  std::string name() const { return names_[index()]; }
  const std::vector<std::string>& names() const { return names_; }
  /// Throws std::invalid_argument unless it is one of the names.
  void force(const std::string& name);

  bool forced() const { return index() != 0; }
  /// The one that is forced, as an enumerator of `Enum`, which has those names but the first.
  template <class Enum>
  Enum as() const {
    return static_cast<Enum>(index() - 1);
  }

 private:
  std::vector<std::string> names_;
  std::atomic<int> index_{0};

  int index() const { return index_.load(std::memory_order_relaxed); }
};

Choice& algorithm_choice();  // Algorithm: "product", "direct", "wgmma"
Choice& tile_choice();       // TileSize: "128x128", "128x64", "64x64"
Choice& float32_choice();    // Float32Math: "tf32", "tf32x3", "fma"

/// Whether products are computed by the warpgroups of Hopper GPUs where these can: if it is forced
/// or, on such a GPU, nothing else is, neither another algorithm nor one of its tiles.
bool prefers_wgmma(int capability);

/// Those choices by their names, "algorithm", "tile" and "float32".
Choice& choice(const std::string& what);

}  // namespace torchconv::cuda
