// An operand's copies, as a kernel asks for them.
#pragma once

#include "cuda/hopper_map.h"
#include "cuda/hopper_places.h"
#include "cuda/hopper_ptx.cuh"

namespace torchconv::cuda {

struct TileLoad : TilePlaces {
  TensorMap maps[kMostMaps];

  explicit TileLoad(const TilePlan& plan) : TilePlaces(plan) {
    for (int i = 0; i < plan.map_count; ++i) maps[i] = map_of(plan.maps[i]);
  }

  /// Asks for a copy, for one step.
  TORCHCONV_ANYWHERE void ask(const Copy& copy, char* to, uint64_t* barrier,
                              const SumStep& step) const {
    const int row = tap_rows.at(step.tap_row), column = tap_columns.at(step.tap_column);
    const auto& at = copy.at;
    to += copy.bytes;
    switch (kind) {
      case LoadKind::kLines:
        copy_box(to, &maps[0], barrier, step.term, at[0], at[1] + column, at[2] + row);
        break;
      case LoadKind::kColumns:
        copy_box(to, &maps[0], barrier, at[0], step.term, at[1] + column, at[2] + row);
        break;
      case LoadKind::kPixels:
        copy_pixels(to, &maps[0], barrier, step.term, at[0], at[1], at[2], column, row);
        break;
      case LoadKind::kPlanes:
        copy_box(to, &maps[0], barrier, at[0] + column, at[1] + row, step.term, at[2]);
        break;
      case LoadKind::kSumPixels: {
        const Window window = window_of(step.term);
        copy_pixels(to, &maps[0], barrier, at[0], window.column, window.row, window.image,
                    copy.offset[0], copy.offset[1]);
        break;
      }
      case LoadKind::kSumPlanes: {
        const auto place = pixels(step.term >> (column_bits + row_bits));
        copy_box(to, &maps[copy.map], barrier, (place.column << column_bits) + copy.offset[0],
                 (place.row << row_bits) * row_stride + copy.offset[1], at[0], place.image + at[2]);
        break;
      }
    }
  }
};

}  // namespace torchconv::cuda
