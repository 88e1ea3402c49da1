// How a product is cut into tiles and which of its operands are packed: decided once per call, from
// sizes and strides, by the CPU entries; followed by the kernels. No torch headers.
#pragma once

#include <cstdint>

namespace torchconv {

/// What an instruction set multiplies at once.
struct Lanes {
  int64_t vector_bytes;
  int64_t gemm_rows;   // in a panel of rows
  int64_t bf16_terms;  // products of bf16 that an instruction adds to one sum
};

/// What a plan has to know of a product's types.
struct Machine {
  Lanes lanes;
  int64_t element_bytes;      // of the tensors
  int64_t accumulator_bytes;  // of packed operands and of sums
  int64_t terms;              // of a sum that are multiplied by one instruction
  int64_t threads;
  int64_t l2_bytes;  // of the cache of one core

  int64_t columns() const { return lanes.vector_bytes / accumulator_bytes; }
  bool converts() const { return element_bytes != accumulator_bytes; }
};

/// Rows that are packed at a time.
constexpr int64_t kPackedRows = 264;

/// Whether rows that far apart compete for the same few places of an L1 cache, whose ways are
/// indexed by the address within 4 KiB.
inline bool rows_collide(int64_t bytes) { return bytes % 4096 == 0; }

/// As the system tells it, within reason.
int64_t l2_cache_bytes();

struct MatMulPlan {
  bool direct_a, direct_b;     // multiplied as they lie in the caller's tensors
  bool wide;                   // panels of few rows and many columns
  int64_t row_tile, col_tile;  // of one item of work
  int64_t sum_row;             // from one row of its sums to the next
  int64_t bias_elements;
  int64_t tiles;
  int64_t scratch_bytes;
};

/// Sizes and strides of out = a · b. `transposed` says that the plan is for outᵀ = bᵀ · aᵀ.
struct MatMulSizes {
  int64_t rows, cols, depth;
  int64_t a_row, a_col;
  int64_t b_row, b_col;
  bool bias_of_rows;
};

MatMulPlan plan_matmul(const MatMulSizes& sizes, const Machine& machine);

/// The number of parts that `size` is cut into: none above `most`, and as many as threads can share
/// evenly, `others` being shared out, too, while parts are no smaller than `least`.
int64_t share(int64_t size, int64_t most, int64_t least, int64_t others, int64_t threads);

inline int64_t cache_lines(int64_t bytes) { return (bytes + 63) / 64 * 64; }

}  // namespace torchconv
