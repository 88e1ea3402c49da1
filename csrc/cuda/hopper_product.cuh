// The kernel of products on Hopper GPUs. There are as many blocks as run at a time; each goes
// through tiles of the result, of kTileRows x columns. A block has three warpgroups: two multiply,
// 64 rows each; of the third one warp asks for copies. Between them is a ring of stages in shared
// memory, each with room for both operands' terms of one step, and two barriers for each stage:
//
//   full   one arrival, of the warp that asks for copies, and all bytes of the stage: products
//          wait for it
//   empty  an arrival of each warp that multiplies, once its products with this stage are done:
//          copies wait for it
//
// The copies do not stop at the end of a tile, so that the next one is there once the results of
// this one are written. Threads that multiply need many registers, those that ask for copies few:
// the third warpgroup gives most of its own to the others.
#pragma once

#include "cuda/hopper_load.cuh"
#include "cuda/hopper_result.cuh"
#include "cuda/hopper_wgmma.cuh"
#include "cuda/product.cuh"

namespace torchconv::cuda {

// In TF32 the product of float32 has the accuracy of float32 if each factor is `split` into two
// numbers, a = a' + a": the sum of a"·b', a'·b" and a'·b' lacks only a"·b". A stage then has both
// parts of both operands. What tensor cores add, they cut off at the last bit of the sum; so only a
// stage's terms are left to them, and a thread adds these sums itself.
template <class T, int columns, bool rows_along, bool columns_along, bool split = false>
struct HopperKernel {
  // Of the smallest tiles a processor has two blocks: one multiplies while the other one writes.
  static constexpr bool kSmall = columns == 64 && !split;
  static constexpr int kBlocksAtOnce = kSmall ? 2 : 1;
  static constexpr int kStages = kSmall || (split && columns > 64) ? 3 : 4, kParts = split ? 2 : 1;
  static constexpr int kGroup = 4 * kWarp, kConsumers = 2 * kGroup, kThreads = 3 * kGroup;
  // Of a thread; all begin with about the mean.
  static constexpr int kLoadRegisters = kSmall ? 24 : 40, kMultiplyRegisters = kSmall ? 104 : 232;
  static constexpr int kRowBytes = kTileRows * kLineBytes, kColumnBytes = columns * kLineBytes;
  static constexpr int kStageBytes = kParts * (kRowBytes + kColumnBytes);
  static constexpr int kWarps = kConsumers / kWarp;
  static constexpr int kWriterBytes = HopperWriter<T, columns>::kBytes;
  static constexpr int kResultBytes = kWarps * kWriterBytes;
  static constexpr int kBarrierBytes = 2 * kStages * int(sizeof(uint64_t));
  // Swizzled lines come in patterns of 1024 bytes, which begin at multiples of that.
  static constexpr int kPattern = 1024;
  static constexpr int kSharedBytes =
      kPattern + kStages * kStageBytes + kResultBytes + kBarrierBytes;
  static_assert(kBlocksAtOnce * (kSharedBytes + 1024) <= 228 * 1024);
  static constexpr int kProducts = kLineBytes / 32;  // of 32 bytes of terms, in a stage

  TileLoad row_load, column_load;
  ProductArgs<T> args;  // what is used of it: the result and the bias
  ResultRows result_rows;
  TileOrder order;
  SumSteps steps;
  int32_t chunk_steps;
  float* partial;  // parts of sums, each of so many elements; nullptr: there are none
  int64_t chunk_step, item_sums;

  TORCHCONV_ANYWHERE void operator()(const Block& block) const {
#if TORCHCONV_HOPPER
    char* const stages =
        block.shared + (kPattern - shared_address(block.shared) % kPattern) % kPattern;
    char* const results = stages + kStages * kStageBytes;
    uint64_t* const full = reinterpret_cast<uint64_t*>(results + kResultBytes);
    uint64_t* const empty = full + kStages;
    if (block.thread == 0) {
      for (int i = 0; i < kStages; ++i) {
        barrier_init(&full[i], 1);
        barrier_init(&empty[i], kWarps);
      }
      show_barriers();
    }
    sync_block();
    if (block.thread >= kConsumers) {
      give_registers<kLoadRegisters>();
      if (block.thread < kConsumers + kWarp) load(block, stages, full, empty);
    } else {
      take_registers<kMultiplyRegisters>();
      multiply(block, stages, results, full, empty);
    }
#endif
  }

 private:
#if TORCHCONV_HOPPER
  /// Calls fn(tile, first step, last step) for the tiles of a block.
  template <class Fn>
  TORCHCONV_ANYWHERE void for_tiles(const Block& block, const Fn& fn) const {
#pragma unroll 1
    for (int64_t number = block.number; number < order.tiles(); number += block.blocks) {
      const auto tile = order(number);
      if (!tile.exists) continue;
      const int32_t first = int32_t(tile.chunk) * chunk_steps, left = steps.all - first;
      fn(tile, first, first + (left < chunk_steps ? left : chunk_steps));
    }
  }

  /// The lanes of a warp share out the copies of a step: those of the rows' operand, those of the
  /// columns', and the lower parts of both.
  TORCHCONV_ANYWHERE void load(const Block& block, char* stages, uint64_t* full,
                               uint64_t* empty) const {
    const int lane = block.thread % kWarp, all = row_load.copies + column_load.copies;
    const bool lower = lane >= all, asks = lane < kParts * all;
    const int number = lower ? lane - all : lane;
    const bool is_row = number < row_load.copies;
    const int column_begin = kParts * kRowBytes;
    if (lane == 0) {
      prefetch_map(&row_load.maps[0]);
      prefetch_map(&column_load.maps[0]);
    }
    uint32_t count = 0;  // stages so far
    for_tiles(block, [&](const TileOrder::Tile& tile, int32_t first, int32_t last) {
      const TileLoad::Copy copy =
          is_row ? row_load.copy_of(int(tile.item), int(tile.row), kTileRows, number, lower)
                 : column_load.copy_of(int(tile.item), int(tile.column), columns,
                                       number - row_load.copies, lower);
#pragma unroll 1
      for (int32_t i = first; i < last; ++i, ++count) {
        const int stage = int(count % kStages), pass = int(count / kStages);
        char* const to = stages + stage * kStageBytes;
        barrier_wait(&empty[stage], (pass & 1) ^ 1);
        if (lane == 0) barrier_expect(&full[stage], kStageBytes);
        sync_warp();
        const SumStep step = steps(i);
        if (asks && is_row) {
          row_load.ask(copy, to + (lower ? kRowBytes : 0), &full[stage], step);
        } else if (asks) {
          column_load.ask(copy, to + column_begin + (lower ? kColumnBytes : 0), &full[stage], step);
        }
      }
    });
  }

  TORCHCONV_ANYWHERE void multiply(const Block& block, const char* stages, char* results,
                                   uint64_t* full, uint64_t* empty) const {
    const int warp = block.thread / kWarp, lane = block.thread % kWarp;
    const uint32_t first_address = shared_address(stages) + block.thread / kGroup * row_load.half;
    uint32_t count = 0;
    for_tiles(block, [&](const TileOrder::Tile& tile, int32_t first, int32_t last) {
      GroupSums<columns> product, some;
#pragma unroll
      for (int i = 0; i < GroupSums<columns>::kSums; ++i) product.sums[i] = some.sums[i] = 0;
      hold_sums(product.sums);
#pragma unroll 1
      for (int32_t i = first; i < last; ++i, ++count) {
        const int stage = int(count % kStages), pass = int(count / kStages);
        barrier_wait(&full[stage], pass & 1);
        const uint32_t a = first_address + stage * kStageBytes;
        const uint32_t b = shared_address(stages) + stage * kStageBytes + kParts * kRowBytes;
        if constexpr (split) {
          hold_sums(some.sums);
          wgmma_fence();
          multiply_stage<false>(a + kRowBytes, b, &some);
          multiply_stage<true>(a, b + kColumnBytes, &some);
          multiply_stage<true>(a, b, &some);
          wgmma_commit();
          wgmma_wait<0>();
          hold_sums(some.sums);
          if (lane == 0) barrier_arrive(&empty[stage]);
#pragma unroll
          for (int k = 0; k < GroupSums<columns>::kSums; ++k) product.sums[k] += some.sums[k];
          continue;
        }
        wgmma_fence();
        multiply_stage<true>(a, b, &product);
        wgmma_commit();
        wgmma_wait<1>();  // what came before is done
        if (i > first && lane == 0) barrier_arrive(&empty[(stage + kStages - 1) % kStages]);
      }
      if constexpr (!split) {
        wgmma_wait<0>();
        hold_sums(product.sums);
        if (lane == 0) barrier_arrive(&empty[(count + kStages - 1) % kStages]);
      }
      const HopperWriter<T, columns> writer(args, result_rows, int(tile.row), warp * 16,
                                            int(tile.column) * columns, lane,
                                            results + warp * kWriterBytes);
      if (partial == nullptr) {
        writer.write(product, args.out + tile.item * args.batch.out[2]);
      } else {
        writer.write_part(product, partial + tile.chunk * chunk_step + tile.item * item_sums);
      }
    });
  }

  /// Begins to multiply what lies in a stage; without `add` these are the first terms of the sums.
  template <bool add>
  TORCHCONV_ANYWHERE void multiply_stage(uint32_t a, uint32_t b, GroupSums<columns>* sums) const {
#pragma unroll
    for (int k = 0; k < kProducts; ++k) {
      const uint64_t of_rows = descriptor_at(row_load.descriptor, a + row_load.at_product(k));
      const uint64_t of_columns =
          descriptor_at(column_load.descriptor, b + column_load.at_product(k));
      if (add || k > 0) {
        wgmma<T, rows_along, columns_along, columns>(sums->sums, of_rows, of_columns);
      } else {
        wgmma<T, rows_along, columns_along, columns, false>(sums->sums, of_rows, of_columns);
      }
    }
  }
#endif
};

}  // namespace torchconv::cuda
