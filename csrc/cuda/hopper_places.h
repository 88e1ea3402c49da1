// How the copy engine finds the tiles of an operand: a tile has kTileRows indices, or as many as
// the result's tile has columns, and for each 128 bytes of terms, a step of the sum. Six kinds of
// operands; the first dimension of a tile's lines is named first:
//
//   kLines      [terms, indices, tap columns, tap rows]: matrices, weights; one box, lines of terms
//   kColumns    [indices, terms, tap columns, tap rows]: matrices, weights across their sum; boxes
//               of 64 indices
//   kPixels     pixels of [channels, columns, rows, images] as indices, channels and taps as terms:
//               images whose channels are neighbours in memory
//   kPlanes     boxes of a row of [columns, rows, channels, images]; indices are the pixels of a
//               rectangle, channels and taps are terms: images whose columns are neighbours
//   kSumPixels  pixels as terms, boxes of 64 channels of one tap as indices: images whose channels
//               are neighbours, in the gradient of a weight
//   kSumPlanes  boxes of a row of [columns, rows, channels, images]; terms are the pixels of a
//               rectangle, indices channels and taps: images whose columns are neighbours, in that
//               gradient
//
// A step takes several copies, of one box each. Lanes of a warp ask for one each, and find out at
// the same time where it is.
#pragma once

#include "cuda/operand.cuh"
#include "cuda/plans/hopper_tensor.h"

namespace torchconv::cuda {

constexpr uint64_t kDescriptorUnit = 16;

/// A descriptor without its address. All offsets in bytes.
constexpr uint64_t descriptor_of(int line_bytes, int leading, int stride) {
  const uint64_t swizzle = line_bytes == 128 ? 1 : line_bytes == 64 ? 2 : 3;
  return swizzle << 62 | uint64_t(stride) / kDescriptorUnit << 32 |
         uint64_t(leading) / kDescriptorUnit << 16;
}

constexpr int kTileRows = 128, kBoxExtent = 64;
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

/// All that there is to know of an operand's copies, but the maps.
struct TilePlaces {
  LoadKind kind = LoadKind::kLines;
  int32_t copies = 1, box_bytes = 0;  // of a step; of a copy, in shared memory
  // What a descriptor has but the address; how far 32 bytes of terms are from the next ones, and
  // 64; how far index 64 is from the first one.
  uint64_t descriptor = 0;
  uint32_t advance = 0, far_advance = 0, half = kBoxExtent * kLineBytes;
  TapStep tap_rows, tap_columns;  // a place among the taps, or in the image
  int32_t item_step = 0;  // kLines, kColumns: from matrix to matrix of a batch, as tap columns
  // kLines, kPixels, kSumPlanes: from the upper parts of numbers to the lower ones, as tap rows or
  // images.
  int32_t lower_step = 0;
  // kPixels, kSumPixels: outputs, and where their windows are.
  PixelNumbers pixels;
  int32_t row = 0, row_stride = 1, column = 0, column_stride = 1;
  PlaneTiles planes;  // kPlanes
  // kSumPixels, kSumPlanes: from the number of a box to channels (column) and tap (row, image).
  PixelNumbers taps;
  int32_t all_boxes = 0;
  // kSumPlanes: rectangles have 2^so many columns and rows; `pixels` numbers them. Each row lies
  // apart, as a slab. There may be a copy of the image, and so a map, for each tap column.
  int32_t column_bits = 0, row_bits = 0, slab_bytes = 0;
  bool map_for_tap = false;

  /// Where the terms of a step's k-th product begin.
  TORCHCONV_ANYWHERE uint32_t at_product(int k) const {
    return k % 2 * advance + k / 2 * far_advance;
  }

  /// A copy in all steps of a tile: where it begins in the tensor and in shared memory, as far as
  /// this is the same in all of them.
  struct Copy {
    int32_t at[3], offset[2];  // offset: of a tap, in columns and rows
    int32_t bytes, map;
  };

  /// The i-th of them; `lower`: of the lower parts of numbers.
  TORCHCONV_ANYWHERE Copy copy_of(int item, int tile, int extent, int i, bool lower) const {
    Copy copy{{0, 0, lower ? lower_step : 0}, {0, 0}, i * box_bytes, 0};
    const auto begin = [&](int first, int second, int third) {
      copy.at[0] = first;
      copy.at[1] = second;
      copy.at[2] += third;
    };
    switch (kind) {
      case LoadKind::kLines:
        begin(tile * extent, item * item_step, 0);
        break;
      case LoadKind::kColumns:
        begin(tile * extent + i * kBoxExtent, item * item_step, 0);
        break;
      case LoadKind::kPixels: {
        const Window window = window_of(tile * extent);
        begin(window.column, window.row, window.image);
        break;
      }
      case LoadKind::kPlanes: {  // the widest rectangles have one row of two boxes
        const auto first = planes(tile);
        const bool wide = 1 << planes.width_bits > kBoxExtent;
        begin(first.column + (wide ? i * kBoxExtent : 0), first.row + (wide ? 0 : i), first.image);
        break;
      }
      case LoadKind::kSumPixels: {
        const auto box = box_of(tile * extent, i);
        begin(box.column * kBoxExtent, 0, 0);
        copy.offset[0] = tap_columns.at(box.row);
        copy.offset[1] = tap_rows.at(box.image);
        break;
      }
      case LoadKind::kSumPlanes: {
        const int slab = i & ((1 << row_bits) - 1);
        const auto box = box_of(tile * extent, i >> row_bits);
        begin(box.column * kBoxExtent, 0, 0);
        copy.offset[0] = tap_columns.at(box.row);
        copy.offset[1] = tap_rows.at(box.image) + slab * row_stride;
        copy.bytes = (i >> row_bits) * box_bytes + slab * slab_bytes;
        copy.map = map_for_tap ? box.row : 0;
        break;
      }
    }
    return copy;
  }

 protected:
  /// Channels and tap of a box, counted from a tile's first index. There may be one box too many.
  TORCHCONV_ANYWHERE PixelNumbers::Pixel box_of(int index, int i) const {
    const int number = index / kBoxExtent + i;
    return taps(number < all_boxes ? number : all_boxes - 1);
  }

  /// Where the window of an output begins.
  struct Window {
    int32_t column, row, image;
  };
  TORCHCONV_ANYWHERE Window window_of(int32_t output) const {
    const auto pixel = pixels(output);
    return {pixel.column * column_stride + column, pixel.row * row_stride + row, pixel.image};
  }
};

/// The same with what its maps are to say; only kSumPlanes has several.
struct TilePlan : TilePlaces {
  MapRequest maps[kMostMaps];
  int map_count = 1;
  int64_t map_bytes = 0;  // from the tensor of a map to the next one

  void set_data(const void* data) {
    for (int i = 0; i < map_count; ++i) {
      maps[i].tensor.data = static_cast<const char*>(data) + i * map_bytes;
    }
  }
};

/// Which rows of the result a tile has: consecutive ones, or rectangles of pixels.
struct ResultRows {
  bool rectangles = false;
  PlaneTiles planes;
  bool whole_runs = false;  // whether results come in aligned runs of 16 bytes
  RealRows real;

  static constexpr int32_t kNoRow = -1;
  /// The number of a tile's row in the result.
  TORCHCONV_ANYWHERE int32_t operator()(int32_t tile, int in_tile, int32_t all) const {
    if (!rectangles) {
      const int32_t number = tile * kTileRows + in_tile;
      return number < all && real(number) ? number : kNoRow;
    }
    const auto corner = planes(tile);
    const int32_t row = corner.row + (in_tile >> planes.width_bits);
    const int32_t column = corner.column + (in_tile & ((1 << planes.width_bits) - 1));
    if (row >= planes.rows || column >= planes.columns) return kNoRow;
    return (corner.image * planes.rows + row) * planes.columns + column;
  }
};

}  // namespace torchconv::cuda
