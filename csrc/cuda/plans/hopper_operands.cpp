// Operands of products for the copy engine.
#include <algorithm>

#include "cuda/plans/hopper_operands.h"

namespace torchconv::cuda {
namespace {

constexpr int kTermBoxes = 64;           // terms of a box whose lines are indices of 16 bits
constexpr int64_t kLargestOffset = 255;  // of a tap, from the first one

bool taps_in_reach(const Windows& w) {
  for (int i = 0; i < 2; ++i) {
    if (w.tap_step[i] < 0 || (w.taps[i] - 1) * w.tap_step[i] > kLargestOffset) return false;
  }
  return true;
}

/// The copy engine wants lines to begin at multiples of 16 bytes, as far as windows decide on it.
bool columns_aligned(const LoadedImage& image, const Windows& w) {
  const int64_t bytes = bytes_of(image.element);
  return w.first[0] * bytes % 16 == 0 && (w.taps[0] == 1 || w.tap_step[0] * bytes % 16 == 0);
}

PixelWalk walk_of(const Windows& w) {
  PixelWalk walk{};
  for (int i = 0; i < 2; ++i) {
    walk.first[i] = w.first[i];
    walk.last[i] = w.first[i] + (w.count[i] - 1) * w.stride[i];
    walk.stride[i] = w.stride[i];
  }
  return walk;
}

MappedTensor mapped(const LoadedImage& image, const int (&order)[4]) {
  MappedTensor tensor{image.data, image.element, {}, {}};
  for (int d = 0; d < 4; ++d) {
    tensor.sizes[d] = image.sizes[order[d]];
    tensor.steps[d] = image.steps[order[d]];
  }
  return tensor;
}

void set_windows(const Windows& w, TilePlan* load) {
  load->pixels = {Divider<int32_t>(int32_t(w.count[0])), Divider<int32_t>(int32_t(w.count[1]))};
  load->column = int32_t(w.first[0]);
  load->row = int32_t(w.first[1]);
  load->column_stride = int32_t(w.stride[0]);
  load->row_stride = int32_t(w.stride[1]);
  load->tap_columns = {0, int32_t(w.tap_step[0])};
  load->tap_rows = {0, int32_t(w.tap_step[1])};
}

void set_lines(LoadKind kind, TilePlan* load) {
  load->kind = kind;
  load->copies = 1;
  load->descriptor = descriptor_of(kLineBytes, 16, 8 * kLineBytes);
  load->advance = 32;
  load->far_advance = 64;
}

/// Boxes of 64 terms, whose lines have so many bytes of indices; 16 terms make a product.
void set_columns(LoadKind kind, int copies, int line_bytes, TilePlan* load) {
  load->kind = kind;
  load->copies = copies;
  load->box_bytes = kTermBoxes * line_bytes;
  load->descriptor = descriptor_of(line_bytes, kTermBoxes * line_bytes, 8 * line_bytes);
  load->advance = uint32_t(16 * line_bytes);
  load->far_advance = 2 * load->advance;
}

/// What loading costs by lines of so many bytes: the copy engine goes from line to line.
double cost_of_lines(int bytes) { return bytes == 128 ? 1.0 : bytes == 64 ? 1.06 : 1.25; }

}  // namespace

bool load_matrix(const LoadedMatrix& m, int extent, TilePlan* load) {
  const MappedTensor lines{m.data,
                           m.element,
                           {m.terms, m.indices, m.tap_columns, m.tap_rows},
                           {m.term_step, m.index_step, m.tap_column_step, m.tap_row_step}};
  set_lines(LoadKind::kLines, load);
  if (request_boxes(lines, {kLineBytes / bytes_of(m.element), extent, 1, 1}, kLineBytes,
                    &load->maps[0])) {
    return true;
  }
  if (bytes_of(m.element) != 2) return false;
  const MappedTensor columns{m.data,
                             m.element,
                             {m.indices, m.terms, m.tap_columns, m.tap_rows},
                             {m.index_step, m.term_step, m.tap_column_step, m.tap_row_step}};
  set_columns(LoadKind::kColumns, extent / kBoxExtent, kLineBytes, load);
  return request_boxes(columns, {kBoxExtent, kTermBoxes, 1, 1}, kLineBytes, &load->maps[0]);
}

bool load_pixels(const LoadedImage& image, const Windows& w, TilePlan* load) {
  if (!taps_in_reach(w)) return false;
  set_lines(LoadKind::kPixels, load);
  set_windows(w, load);
  return request_pixels(mapped(image, {0, 1, 2, 3}), walk_of(w), kTileRows, &load->maps[0]);
}

PlaneTiles plane_tiles(int64_t columns, int64_t rows) {
  PlaneTiles best;
  double least = 0;
  for (const int bits : {7, 6, 5, 4}) {  // the first for planes of a single row
    if ((bits == 7) != (rows == 1)) continue;
    const int64_t across = ceil_div<int64_t>(columns, 1 << bits);
    const int64_t down = ceil_div<int64_t>(rows, kTileRows >> bits);
    const double cost = static_cast<double>(across * down) * cost_of_lines(2 << std::min(bits, 6));
    if (least != 0 && cost >= least) continue;
    least = cost;
    best.width_bits = bits;
    best.tiles = {Divider<int32_t>(int32_t(across)), Divider<int32_t>(int32_t(down))};
  }
  best.columns = int32_t(columns);
  best.rows = int32_t(rows);
  return best;
}

bool load_planes(const LoadedImage& image, const Windows& w, const PlaneTiles& tiles,
                 TilePlan* load) {
  if (bytes_of(image.element) != 2 || w.stride[0] != 1 || w.stride[1] != 1) return false;
  if (!columns_aligned(image, w)) return false;
  const int columns = 1 << tiles.width_bits, width = std::min(columns, kBoxExtent);
  set_columns(LoadKind::kPlanes, kTileRows / width, 2 * width, load);
  load->planes = tiles;
  load->tap_columns = {int32_t(w.first[0]), int32_t(w.tap_step[0])};
  load->tap_rows = {int32_t(w.first[1]), int32_t(w.tap_step[1])};
  const int box[4] = {width, 1, kTermBoxes, 1};
  return request_boxes(mapped(image, {1, 2, 0, 3}), box, 2 * width, &load->maps[0]);
}

bool load_sum_pixels(const LoadedImage& image, const Windows& w, int extent, TilePlan* load) {
  if (bytes_of(image.element) != 2 || !taps_in_reach(w)) return false;
  const int64_t taps = w.taps[0] * w.taps[1], channels = image.sizes[0];
  set_columns(LoadKind::kSumPixels, extent / kBoxExtent, kLineBytes, load);
  set_windows(w, load);
  const int64_t blocks = ceil_div<int64_t>(channels, kBoxExtent);
  load->taps = {Divider<int32_t>(int32_t(blocks)), Divider<int32_t>(int32_t(w.taps[0]))};
  load->all_boxes = int32_t(blocks * taps);
  return request_pixels(mapped(image, {0, 1, 2, 3}), walk_of(w), kTermBoxes, &load->maps[0]);
}

SumTiles sum_tiles(int64_t columns, int64_t rows, int terms) {
  SumTiles best;
  double least = 0;
  for (int bits = 0; bits < 3; ++bits) {
    if (rows % (1 << bits) != 0) continue;
    const int64_t across = ceil_div<int64_t>(columns, terms >> bits), down = rows >> bits;
    const double cost = static_cast<double>(across * down) * cost_of_lines(kLineBytes >> bits);
    if (least != 0 && cost >= least) continue;
    least = cost;
    best = {across, down, terms >> bits, 1 << bits};
  }
  return best;
}

bool load_sum_planes(const LoadedImage& image, const Windows& w, const SumTiles& tiles, int extent,
                     int64_t tap_step, TilePlan* load) {
  const int64_t taps = w.taps[0] * w.taps[1], channels = image.sizes[0];
  if (w.stride[0] != 1 || !columns_aligned(image, w)) return false;
  if (tap_step == 0 && w.taps[0] != 1) return false;
  const int line = tiles.columns * bytes_of(image.element), slab = extent * line;
  const auto bits = [](int power) {
    int n = 0;
    while (1 << n < power) ++n;
    return n;
  };
  load->kind = LoadKind::kSumPlanes;
  load->copies = extent / kBoxExtent * tiles.rows;
  load->box_bytes = kBoxExtent * line;
  load->half = uint32_t(load->box_bytes);
  load->slab_bytes = slab;
  load->descriptor = descriptor_of(line, 16, 8 * line);
  load->advance = uint32_t(line >= 64 ? 32 : slab);
  load->far_advance = uint32_t(line == 128 ? 64 : line == 64 ? slab : 2 * slab);
  load->column_bits = bits(tiles.columns);
  load->row_bits = bits(tiles.rows);
  load->pixels = {Divider<int32_t>(int32_t(tiles.across)), Divider<int32_t>(int32_t(tiles.down))};
  load->tap_columns = {int32_t(w.first[0]), int32_t(w.tap_step[0])};
  load->tap_rows = {int32_t(w.first[1]), int32_t(w.tap_step[1])};
  const int64_t blocks = ceil_div<int64_t>(channels, kBoxExtent);
  load->taps = {Divider<int32_t>(int32_t(blocks)), Divider<int32_t>(int32_t(w.taps[0]))};
  load->all_boxes = int32_t(blocks * taps);
  load->row_stride = int32_t(w.stride[1]);
  load->map_for_tap = tap_step != 0;
  load->map_count = load->map_for_tap ? int(w.taps[0]) : 1;
  load->map_bytes = tap_step * bytes_of(image.element);
  if (load->map_count > kMostMaps) return false;
  // A rectangle may reach out of the plane to the right, where the other image has zeros; so that
  // this one has, too, whatever lies there, its map ends with the last column that is read.
  MappedTensor tensor = mapped(image, {1, 2, 0, 3});
  tensor.sizes[0] = std::min(image.sizes[1], w.count[0] + w.first[0]);
  for (int tap = 0; tap < load->map_count; ++tap) {
    if (!request_boxes(tensor, {tiles.columns, 1, kBoxExtent, 1}, line, &load->maps[tap])) {
      return false;
    }
  }
  load->set_data(image.data);
  return true;
}

}  // namespace torchconv::cuda
