// Products as Hopper kernels are told of them, how they are cut into tiles, and how operands are
// described to the copy engine.
#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>

#include "cuda/hopper_result.cuh"
#include "cuda/product.h"

namespace torchconv::cuda {

template <class T>
struct HopperProduct {
  HopperProduct(ProductArgs<T> args_, SumSteps steps_, int64_t row_tiles_, int columns_)
      : args(args_), steps(steps_), row_tiles(row_tiles_), columns(columns_) {}

  ProductArgs<T> args;  // the result and the bias, and the sizes
  SumSteps steps;
  int64_t row_tiles;
  int columns;  // of a tile: 64, 128 or 256
  int64_t chunks = 1;
  TileLoad row_load, column_load;
  ResultRows result_rows;

  int64_t column_tiles() const { return ceil_div<int64_t>(args.out_columns.extent(), columns); }
};

/// Computes a product whose sum is cut in `chunks`, which are added in order.
template <class T>
void launch_hopper(const at::Tensor& on, const HopperProduct<T>& product);

/// Whether there are kernels for a tensor's device and type.
inline bool takes_hopper(const at::Tensor& on, Float32Math float32) {
  const at::ScalarType type = on.scalar_type();
  if (type == at::kDouble || (type == at::kFloat && float32 != Float32Math::kTf32)) return false;
  return has_hopper_code(on);
}

/// And for a convolution.
inline bool takes_hopper(const at::Tensor& on, const Conv2dShape& s, Float32Math float32) {
  constexpr int64_t kMostPixels = int64_t(1) << 29;
  const int64_t in = s.in_h * s.in_w, out = s.out_h * s.out_w;
  const bool any =
      std::min({s.batch, s.in_channels, s.out_channels, s.kernel_h, s.kernel_w, in, out}) > 0;
  return any && s.groups == 1 && s.batch * std::max(in, out) < kMostPixels &&
         takes_hopper(on, float32);
}

/// Calls fn(T{}) with a type that there are kernels for.
template <class Fn>
bool with_hopper_type(at::ScalarType type, const Fn& fn) {
  if (type == at::kBFloat16) return fn(bf16{});
  return type == at::kHalf ? fn(f16{}) : fn(float{});
}

/// Terms in a step of the sum.
template <class T>
constexpr int kStepTerms = kLineBytes / int(sizeof(T));

/// Columns of a tile: those with which the device is expected to be done first. What a block does
/// for one term grows with the tile's area and its edges.
int choose_hopper_columns(int64_t row_tiles, int64_t columns, int processors);

/// Parts of a sum: as many as accuracy asks for, or, of a long sum, as keep a large GPU busy.
int64_t choose_hopper_chunks(const ProductShape& shape, int64_t tiles, int64_t steps,
                             bool long_sum);

// ---- operands: these return false if the copy engine cannot read one ---------------------------

/// What elements of a matrix, or of weights, lie at: steps along the terms, the indices and taps.
struct LoadedMatrix {
  const void* data;
  MapElement element;
  int64_t terms, indices, tap_columns, tap_rows;
  int64_t term_step, index_step, tap_column_step, tap_row_step;
};

/// Tiles of `extent` indices, along the terms or across.
bool load_matrix(const LoadedMatrix& matrix, int extent, TileLoad* load);

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
bool load_pixels(const LoadedImage& image, const Windows& windows, TileLoad* load);

/// The tiles of planes of so many pixels.
PlaneTiles plane_tiles(int64_t columns, int64_t rows);

/// The same for images whose columns are neighbours, in 16 bits.
bool load_planes(const LoadedImage& image, const Windows& windows, const PlaneTiles& tiles,
                 TileLoad* load);

/// Rectangles of so many pixels, a step's terms: how many there are across and down a plane, and
/// their size. Down they fit; across the last one may be too wide.
struct SumTiles {
  int64_t across = 0, down = 0;
  int columns = 0, rows = 0;
};
SumTiles sum_tiles(int64_t columns, int64_t rows, int terms);

/// The same for images whose columns are neighbours, in steps of rectangles.
bool load_sum_planes(const LoadedImage& image, const Windows& windows, const SumTiles& tiles,
                     int extent, TileLoad* load);

/// Pixels as terms, channels and taps as indices, for images whose channels are neighbours.
bool load_sum_pixels(const LoadedImage& image, const Windows& windows, int extent, TileLoad* load);

}  // namespace torchconv::cuda
