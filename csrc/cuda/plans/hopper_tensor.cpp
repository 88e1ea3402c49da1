#include "cuda/plans/hopper_tensor.h"

namespace torchconv::cuda {
namespace {

bool can_be_mapped(const MappedTensor& t) {
  const int64_t bytes = bytes_of(t.element);
  if (reinterpret_cast<uintptr_t>(t.data) % 16 != 0) return false;
  for (int d = 0; d < 4; ++d) {
    if (t.sizes[d] < 1 || t.sizes[d] > INT32_MAX) return false;
    if (t.sizes[d] == 1) continue;
    if (d == 0 ? t.steps[0] != 1 : t.steps[d] < 1) return false;
    if (d > 0 && (t.steps[d] * bytes % 16 != 0 || t.steps[d] >= (int64_t(1) << 40) / bytes)) {
      return false;
    }
  }
  return true;
}

/// Rows end at the size plus something, which has to fit into a byte, as has the beginning.
bool can_be_walked(const MappedTensor& t, const PixelWalk& walk) {
  const auto fits = [](int64_t corner) { return corner >= -128 && corner <= 127; };
  for (int i = 0; i < 2; ++i) {
    if (!fits(walk.first[i]) || !fits(walk.last[i] - (t.sizes[i + 1] - 1))) return false;
    if (walk.stride[i] < 1 || walk.stride[i] > 8 || walk.last[i] < walk.first[i]) return false;
  }
  return true;
}

}  // namespace

bool request_boxes(const MappedTensor& tensor, const int (&box)[4], int swizzle_bytes,
                   MapRequest* request) {
  if (!can_be_mapped(tensor)) return false;
  *request = {tensor, {box[0], box[1], box[2], box[3]}, swizzle_bytes, false, {}};
  return true;
}

bool request_pixels(const MappedTensor& tensor, const PixelWalk& walk, int pixels,
                    MapRequest* request) {
  if (!can_be_mapped(tensor) || !can_be_walked(tensor, walk)) return false;
  const int channels = kLineBytes / bytes_of(tensor.element);
  *request = {tensor, {channels, pixels, 1, 1}, kLineBytes, true, walk};
  return true;
}

}  // namespace torchconv::cuda
