#include "cpu/plan.h"

#include <unistd.h>

#include <algorithm>

#include "cpu/correlation.h"
#include "cpu/kernels.h"

namespace torchconv {
namespace {

/// Tiles that fit the L2 cache together with their packed operands.
constexpr int64_t kMostTileRows = 1024;

/// Below these, packing an operand costs more than reading it where it lies.
constexpr int64_t kColsToPackRows = 128;
constexpr int64_t kRowsToPackCols = 8;

}  // namespace

int64_t share(int64_t size, int64_t most, int64_t least, int64_t others, int64_t threads) {
  int64_t parts = ceil_div(size, most);
  while (parts * others % threads != 0 && parts * others < 8 * threads &&
         ceil_div(size, parts + 1) >= least) {
    ++parts;
  }
  return parts;
}

int64_t l2_cache_bytes() {
  static const int64_t bytes = [] {
#ifdef _SC_LEVEL2_CACHE_SIZE
    const int64_t found = sysconf(_SC_LEVEL2_CACHE_SIZE);
#else
    const int64_t found = 0;
#endif
    return std::clamp(found, int64_t(1) << 18, int64_t(1) << 21);
  }();
  return bytes;
}

MatMulPlan plan_matmul(const MatMulSizes& s, const Machine& machine) {
  MatMulPlan plan{};
  const int64_t panel_rows = machine.lanes.gemm_rows, panel_cols = 4 * machine.columns();
  // Pairs of elements lie side by side where a sum runs along memory, and an even number of them.
  const bool pairs = machine.terms * machine.element_bytes == machine.accumulator_bytes &&
                     s.a_col == 1 && s.a_row % machine.terms == 0 && s.depth % machine.terms == 0;
  plan.direct_a = (pairs || (!machine.converts() && s.a_row == 1)) && s.cols <= kColsToPackRows;
  plan.direct_b = !machine.converts() && s.b_col == 1 && s.rows <= kRowsToPackCols;

  // Each row is a stream of its own: few of them fit the ways of the near cache, whatever their
  // distance.
  plan.wide = plan.direct_a && s.a_col == 1;

  // Rows are shared out first: packing them, which transposes, is dearer than packing columns.
  int64_t row_parts = share(s.rows, kMostTileRows, 8 * panel_rows, 1, machine.threads);
  const int64_t most_cols = machine.l2_bytes / kTileDepth / machine.accumulator_bytes;
  const int64_t col_parts = share(s.cols, most_cols, panel_cols, row_parts, machine.threads);
  row_parts = share(s.rows, kMostTileRows, panel_rows, col_parts, machine.threads);
  plan.row_tile = std::min(s.rows, round_up(ceil_div(s.rows, row_parts), panel_rows));
  plan.col_tile = round_up(ceil_div(s.cols, col_parts), panel_cols);
  plan.sum_row = plan.col_tile;
  if (rows_collide(plan.sum_row * machine.accumulator_bytes)) plan.sum_row += machine.columns();
  plan.tiles = ceil_div(s.rows, plan.row_tile) * ceil_div(s.cols, plan.col_tile);
  plan.bias_elements = s.bias_of_rows ? plan.row_tile * panel_cols : plan.col_tile;

  const int64_t sums = s.depth > kSpan ? 2 : 1;
  plan.scratch_bytes =
      2 * cache_lines(kTileDepth * sizeof(int64_t)) +
      cache_lines((kPackedRows + panel_rows) * kTileDepth * machine.accumulator_bytes) +
      cache_lines(plan.col_tile * kTileDepth * machine.accumulator_bytes) +
      cache_lines(plan.bias_elements * machine.accumulator_bytes) +
      sums * cache_lines(plan.row_tile * plan.sum_row * machine.accumulator_bytes);
  return plan;
}

}  // namespace torchconv
