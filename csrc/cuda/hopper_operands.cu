// Operands of products for the copy engine, and how products are cut.
#include <algorithm>

#include "cuda/hopper_product.h"

namespace torchconv::cuda {
namespace {

constexpr int kTermBoxes = 64;  // terms of a box whose lines are indices of 16 bits

constexpr int64_t kMostTerms = Tf32::kMostTerms;  // the same of all kinds that there are here
constexpr int64_t kLargestOffset = 255;           // of a tap, from the first one

bool taps_in_reach(const Windows& w) {
  for (int i = 0; i < 2; ++i) {
    if (w.tap_step[i] < 0 || (w.taps[i] - 1) * w.tap_step[i] > kLargestOffset) return false;
  }
  return true;
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

void set_windows(const Windows& w, TileLoad* load) {
  load->pixels = {Divider<int32_t>(int32_t(w.count[0])), Divider<int32_t>(int32_t(w.count[1]))};
  load->column = int32_t(w.first[0]);
  load->row = int32_t(w.first[1]);
  load->column_stride = int32_t(w.stride[0]);
  load->row_stride = int32_t(w.stride[1]);
  load->tap_columns = {0, int32_t(w.tap_step[0])};
  load->tap_rows = {0, int32_t(w.tap_step[1])};
}

void set_lines(LoadKind kind, TileLoad* load) {
  load->kind = kind;
  load->boxes = 1;
  load->descriptor = descriptor_of(kLineBytes, 16, 8 * kLineBytes);
  load->advance = 32;
  load->far_advance = 64;
}

/// Boxes of 64 terms, whose lines have so many bytes of indices; 16 terms make a product.
void set_columns(LoadKind kind, int boxes, int line_bytes, TileLoad* load) {
  load->kind = kind;
  load->boxes = boxes;
  load->box_bytes = kTermBoxes * line_bytes;
  load->descriptor = descriptor_of(line_bytes, kTermBoxes * line_bytes, 8 * line_bytes);
  load->advance = uint32_t(16 * line_bytes);
  load->far_advance = 2 * load->advance;
}

/// What loading costs by lines of so many bytes: the copy engine goes from line to line.
double cost_of_lines(int bytes) { return bytes == 128 ? 1.0 : bytes == 64 ? 1.06 : 1.25; }

}  // namespace

bool load_matrix(const LoadedMatrix& m, int extent, TileLoad* load) {
  const MappedTensor lines{m.data,
                           m.element,
                           {m.terms, m.indices, m.tap_columns, m.tap_rows},
                           {m.term_step, m.index_step, m.tap_column_step, m.tap_row_step}};
  set_lines(LoadKind::kLines, load);
  if (map_boxes(lines, {kLineBytes / bytes_of(m.element), extent, 1, 1}, kLineBytes,
                &load->maps[0])) {
    return true;
  }
  if (bytes_of(m.element) != 2) return false;
  const MappedTensor columns{m.data,
                             m.element,
                             {m.indices, m.terms, m.tap_columns, m.tap_rows},
                             {m.index_step, m.term_step, m.tap_column_step, m.tap_row_step}};
  set_columns(LoadKind::kColumns, extent / kBoxExtent, kLineBytes, load);
  return map_boxes(columns, {kBoxExtent, kTermBoxes, 1, 1}, kLineBytes, &load->maps[0]);
}

bool load_pixels(const LoadedImage& image, const Windows& w, TileLoad* load) {
  if (!taps_in_reach(w)) return false;
  set_lines(LoadKind::kPixels, load);
  set_windows(w, load);
  return map_pixels(mapped(image, {0, 1, 2, 3}), walk_of(w), kTileRows, &load->maps[0]);
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
                 TileLoad* load) {
  if (bytes_of(image.element) != 2 || w.stride[0] != 1 || w.stride[1] != 1) return false;
  const int columns = 1 << tiles.width_bits, width = std::min(columns, kBoxExtent);
  set_columns(LoadKind::kPlanes, columns / width, 2 * width, load);
  load->planes = tiles;
  load->tap_columns = {int32_t(w.first[0]), int32_t(w.tap_step[0])};
  load->tap_rows = {int32_t(w.first[1]), int32_t(w.tap_step[1])};
  const int box[4] = {width, kTermBoxes, kTileRows >> tiles.width_bits, 1};
  return map_boxes(mapped(image, {1, 0, 2, 3}), box, 2 * width, &load->maps[0]);
}

bool load_sum_pixels(const LoadedImage& image, const Windows& w, int extent, TileLoad* load) {
  if (bytes_of(image.element) != 2 || !taps_in_reach(w)) return false;
  const int64_t taps = w.taps[0] * w.taps[1], channels = image.sizes[0];
  if (taps > 1 && channels % kBoxExtent != 0) return false;
  set_columns(LoadKind::kSumPixels, extent / kBoxExtent, kLineBytes, load);
  set_windows(w, load);
  const int64_t blocks = ceil_div<int64_t>(channels, kBoxExtent);
  load->taps = {Divider<int32_t>(int32_t(blocks)), Divider<int32_t>(int32_t(w.taps[0]))};
  load->all_boxes = int32_t(blocks * taps);
  return map_pixels(mapped(image, {0, 1, 2, 3}), walk_of(w), kTermBoxes, &load->maps[0]);
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
                     TileLoad* load) {
  const int64_t taps = w.taps[0] * w.taps[1], channels = image.sizes[0];
  if (w.stride[0] != 1 || w.stride[1] != 1) return false;
  if (taps > 1 && channels % kBoxExtent != 0) return false;
  const int line = tiles.columns * bytes_of(image.element), slab = extent * line;
  const auto bits = [](int power) {
    int n = 0;
    while (1 << n < power) ++n;
    return n;
  };
  load->kind = LoadKind::kSumPlanes;
  load->boxes = extent / kBoxExtent;
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
  load->map_for_tap = w.count[0] % tiles.columns != 0;
  const int64_t maps = load->map_for_tap ? w.taps[0] : 1;
  if (maps > kMostMaps) return false;
  MappedTensor tensor = mapped(image, {1, 0, 2, 3});
  for (int64_t tap = 0; tap < maps; ++tap) {
    if (load->map_for_tap) {
      const int64_t end = w.count[0] + w.first[0] + tap * w.tap_step[0];
      tensor.sizes[0] = std::min(image.sizes[1], end);
    }
    if (!map_boxes(tensor, {tiles.columns, kBoxExtent, 1, 1}, line, &load->maps[tap])) return false;
  }
  return true;
}

int choose_hopper_columns(int64_t row_tiles, int64_t columns, int processors) {
  int best = 0;
  double least = 0;
  for (const int width : {256, 128, 64}) {
    const int64_t tiles = row_tiles * ceil_div<int64_t>(columns, width);
    const int64_t at_once = width == 64 ? 2 : 1;  // blocks of a processor
    const int64_t rounds = at_once * ceil_div<int64_t>(tiles, at_once * processors);
    const double cost =
        static_cast<double>(rounds) * (kTileRows * width + 24.0 * (kTileRows + width));
    if (best != 0 && cost >= least) continue;
    best = width;
    least = cost;
  }
  return best;
}

int64_t choose_hopper_chunks(const ProductShape& s, int64_t tiles, int64_t steps, bool long_sum) {
  constexpr int64_t kBlocks = 132, kLeastSteps = 8, kMostBytes = int64_t(64) << 20;
  int64_t chunks = ceil_div(s.terms, kMostTerms);
  if (long_sum) {
    const int64_t busy = kBlocks / tiles, worth = steps / kLeastSteps;
    const int64_t fitting = kMostBytes / (s.rows * s.columns * int64_t(sizeof(float)));
    chunks = std::max(chunks, std::min({busy, worth, fitting}));
  }
  const int64_t length = ceil_div(steps, chunks);
  return ceil_div(steps, length);
}

}  // namespace torchconv::cuda
