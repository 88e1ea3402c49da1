// How the copy engine finds the tiles of an operand: a tile has kTileRows indices, or as many as
// the result's tile has columns, and for each 128 bytes of terms, a step of the sum. Six kinds of
// operands; the first dimension of a tile's lines is named first:
//
//   kLines      [terms, indices, tap columns, tap rows]: matrices, weights; one box, lines of terms
//   kColumns    [indices, terms, tap columns, tap rows]: matrices, weights across their sum; boxes
//               of 64 indices
//   kPixels     pixels of [channels, columns, rows, images] as indices, channels and taps as terms:
//               images whose channels are neighbours in memory
//   kPlanes     boxes of [columns, channels, rows, images]; indices are the pixels of a rectangle,
//               channels and taps are terms: images whose columns are neighbours
//   kSumPixels  pixels as terms, boxes of 64 channels of one tap as indices: images whose channels
//               are neighbours, in the gradient of a weight
//   kSumPlanes  boxes of [columns, channels, rows, images]; terms are the pixels of a rectangle,
//               indices channels and taps: images whose columns are neighbours, in that gradient
#pragma once

#include "cuda/hopper_wgmma.cuh"
#include "cuda/operand.cuh"

namespace torchconv::cuda {

constexpr int kTileRows = 128, kLineBytes = 128, kBoxExtent = 64;
constexpr int kMostMaps = 7;

enum class LoadKind { kLines, kColumns, kPixels, kPlanes, kSumPixels, kSumPlanes };

/// Which terms a step of the sum has: so many of one tap, from `term` on.
struct SumStep {
  int32_t term, tap_row, tap_column;
};

/// The steps of a sum: terms of a tap run fastest, then tap columns, then tap rows.
struct SumSteps {
  Divider<int32_t> by_tap, by_column;
  int32_t all, terms;  // steps; terms of each

  SumSteps(int64_t tap_rows, int64_t tap_columns, int64_t terms_of_tap, int terms_of_step)
      : by_tap(int32_t(ceil_div<int64_t>(terms_of_tap, terms_of_step))),
        by_column(int32_t(tap_columns)),
        all(int32_t(tap_rows * tap_columns) * by_tap.divisor()),
        terms(terms_of_step) {}

  TORCHCONV_ANYWHERE SumStep operator()(int32_t step) const {
    const int32_t first = by_tap.divide(&step), column = by_column.divide(&step);
    return {first * terms, step, column};
  }
};

/// Numbers pixels of images: along rows, then rows, then images.
struct PixelNumbers {
  Divider<int32_t> by_column{1}, by_row{1};

  struct Pixel {
    int32_t column, row, image;
  };
  TORCHCONV_ANYWHERE Pixel operator()(int32_t number) const {
    const int32_t column = by_column.divide(&number), row = by_row.divide(&number);
    return {column, row, number};
  }
};

/// A tap's part in a place.
struct TapStep {
  int32_t first = 0, step = 0;

  TORCHCONV_ANYWHERE int at(int tap) const { return first + tap * step; }
};

/// Pixels of planes in tiles of kTileRows: rectangles, which may reach out of the plane.
struct PlaneTiles {
  PixelNumbers tiles;             // of rectangles in a plane
  int32_t width_bits = 7;         // a rectangle has 2^this columns
  int32_t columns = 0, rows = 0;  // of a plane

  struct Tile {
    int32_t column, row, image;
  };
  TORCHCONV_ANYWHERE Tile operator()(int32_t number) const {
    const auto tile = tiles(number);
    return {tile.column << width_bits, tile.row * (kTileRows >> width_bits), tile.image};
  }
};

struct TileLoad {
  TensorMap maps[kMostMaps];  // only the first one is used, but by kSumPlanes
  LoadKind kind = LoadKind::kLines;
  int32_t boxes = 1, box_bytes = 0;
  // What a descriptor has but the address; how far 32 bytes of terms are from the next ones, and
  // 64; how far index 64 is from the first one.
  uint64_t descriptor = 0;
  uint32_t advance = 0, far_advance = 0, half = kBoxExtent * kLineBytes;
  TapStep tap_rows, tap_columns;  // a place among the taps, or in the image
  // kPixels, kSumPixels: outputs, and where their windows are.
  PixelNumbers pixels;
  int32_t row = 0, row_stride = 1, column = 0, column_stride = 1;
  PlaneTiles planes;  // kPlanes
  // kSumPixels, kSumPlanes: from the number of a box to channels (column) and tap (row, image).
  PixelNumbers taps;
  int32_t all_boxes = 0;
  // kSumPlanes: rectangles have 2^so many columns and rows; `pixels` numbers them. Each row lies
  // apart, as a slab. A rectangle may reach out of the plane to the right, where one image has
  // zeros; so that the other one has, too, whatever lies there, there is a map for each tap column,
  // which ends with the last column that this tap may read.
  int32_t column_bits = 0, row_bits = 0, slab_bytes = 0;
  bool map_for_tap = false;

  /// Where the terms of a step's k-th product begin.
  TORCHCONV_ANYWHERE uint32_t at_product(int k) const {
    return k % 2 * advance + k / 2 * far_advance;
  }

  /// Where a tile begins, without terms and taps.
  struct Start {
    int32_t at[3];
  };
  TORCHCONV_ANYWHERE Start start(int tile, int extent) const {
    switch (kind) {
      case LoadKind::kPixels:
        return window(tile * extent);
      case LoadKind::kPlanes: {
        const auto first = planes(tile);
        return {{first.column, first.row, first.image}};
      }
      default:
        return {{tile * extent, 0, 0}};
    }
  }

  /// Begins to copy a tile's step.
  TORCHCONV_ANYWHERE void copy(char* to, uint64_t* barrier, const Start& start,
                               const SumStep& step) const {
    const int row = tap_rows.at(step.tap_row), column = tap_columns.at(step.tap_column);
    switch (kind) {
      case LoadKind::kLines:
        copy_box(to, &maps[0], barrier, step.term, start.at[0], column, row);
        break;
      case LoadKind::kColumns:
#pragma unroll 1
        for (int i = 0; i < boxes; ++i) {
          copy_box(to + i * box_bytes, &maps[0], barrier, start.at[0] + i * kBoxExtent, step.term,
                   column, row);
        }
        break;
      case LoadKind::kPixels:
        copy_pixels(to, &maps[0], barrier, step.term, start.at[0], start.at[1], start.at[2], column,
                    row);
        break;
      case LoadKind::kPlanes:
#pragma unroll 1
        for (int i = 0; i < boxes; ++i) {
          copy_box(to + i * box_bytes, &maps[0], barrier, start.at[0] + column + i * kBoxExtent,
                   step.term, start.at[1] + row, start.at[2]);
        }
        break;
      case LoadKind::kSumPixels: {
        const Start at = window(step.term);
#pragma unroll 1
        for (int i = 0; i < boxes; ++i) {
          const auto box = box_of(start, i);
          copy_pixels(to + i * box_bytes, &maps[0], barrier, box.column * kBoxExtent, at.at[0],
                      at.at[1], at.at[2], tap_columns.at(box.row), tap_rows.at(box.image));
        }
        break;
      }
      case LoadKind::kSumPlanes: {
        const auto place = pixels(step.term >> (column_bits + row_bits));
        const int first_column = place.column << column_bits, first_row = place.row << row_bits;
#pragma unroll 1
        for (int i = 0; i < boxes; ++i) {
          const auto box = box_of(start, i);
          const TensorMap* const map = &maps[map_for_tap ? box.row : 0];
#pragma unroll 1
          for (int slab = 0; slab < 1 << row_bits; ++slab) {
            copy_box(to + i * box_bytes + slab * slab_bytes, map, barrier,
                     first_column + tap_columns.at(box.row), box.column * kBoxExtent,
                     first_row + slab + tap_rows.at(box.image), place.image);
          }
        }
        break;
      }
    }
  }

 private:
  /// Channels and tap of a tile's box. There may be one box too many.
  TORCHCONV_ANYWHERE PixelNumbers::Pixel box_of(const Start& start, int i) const {
    const int number = start.at[0] / kBoxExtent + i;
    return taps(number < all_boxes ? number : all_boxes - 1);
  }

  /// Where the window of an output begins.
  TORCHCONV_ANYWHERE Start window(int32_t output) const {
    const auto pixel = pixels(output);
    return {{pixel.column * column_stride + column, pixel.row * row_stride + row, pixel.image}};
  }
};

}  // namespace torchconv::cuda
