// Operands of products for the copy engine. These functions return false if it cannot read one.
#pragma once

#include "cuda/hopper_places.h"

namespace torchconv::cuda {

/// Terms in a step of the sum.
template <class T>
constexpr int kStepTerms = kLineBytes / int(sizeof(T));

/// What elements of a matrix, or of weights, lie at: steps along the terms, the indices and taps.
struct LoadedMatrix {
  const void* data;
  MapElement element;
  int64_t terms, indices, tap_columns, tap_rows;
  int64_t term_step, index_step, tap_column_step, tap_row_step;
};

/// Tiles of `extent` indices, along the terms or across.
bool load_matrix(const LoadedMatrix& matrix, int extent, TilePlan* load);

/// An image: sizes and steps of channels, columns, rows, images.
struct LoadedImage {
  const void* data;
  MapElement element;
  int64_t sizes[4], steps[4];
};

/// Windows over an image: how many, where the first one begins, and the steps from one to the next
/// and from tap to tap; of columns and rows.
struct Windows {
  int64_t count[2], first[2], stride[2], taps[2], tap_step[2];
};

/// Pixels as indices, for images whose channels are neighbours.
bool load_pixels(const LoadedImage& image, const Windows& windows, TilePlan* load);

/// The tiles of planes of so many pixels.
PlaneTiles plane_tiles(int64_t columns, int64_t rows);

/// The same for images whose columns are neighbours, in 16 bits.
bool load_planes(const LoadedImage& image, const Windows& windows, const PlaneTiles& tiles,
                 TilePlan* load);

/// Rectangles of so many pixels, a step's terms: how many there are across and down a plane, and
/// their size. Down they fit; across the last one may be too wide.
struct SumTiles {
  int64_t across = 0, down = 0;
  int columns = 0, rows = 0;
};
SumTiles sum_tiles(int64_t columns, int64_t rows, int terms);

/// The same for images whose columns are neighbours, in steps of rectangles. `tap_step`: from a
/// copy of the image for one tap column to the next, in elements; 0: there is but one image.
bool load_sum_planes(const LoadedImage& image, const Windows& windows, const SumTiles& tiles,
                     int extent, int64_t tap_step, TilePlan* load);

/// Pixels as terms, channels and taps as indices, for images whose channels are neighbours.
bool load_sum_pixels(const LoadedImage& image, const Windows& windows, int extent, TilePlan* load);

}  // namespace torchconv::cuda
