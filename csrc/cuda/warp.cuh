// What a GPU does for a warp as one, and copies into shared memory that go on while it computes:
// instructions of PTX (NVIDIA, Parallel Thread Execution ISA, "Matrix multiply-accumulate" and
// "Asynchronous copy") and, on the host, their definitions. With g = lane / 4 and t = lane % 4:
//
//   mma_16x8x16 (16 bits), mma_16x8x8 (TF32); an element is 2 · 16 bits, or one TF32
//     rows    [0] (g, t)   [1] (g + 8, t)   [2] (g, t + 4)   [3] (g + 8, t + 4)
//     columns [0] (t, g)   [1] (t + 4, g)
//   mma_8x8x4 (float64): row (g, t), column (t, g)
//   sums: (g, 2t) (g, 2t + 1), and 8 rows below, where there are 16, two more
#pragma once

#include "cuda/arithmetic.cuh"
#include "cuda/block.cuh"

namespace torchconv::cuda {

// ---- copies ------------------------------------------------------------------------------------

/// Begins to copy `there` bytes to shared memory, and zeros up to `bytes`, which both are aligned
/// to.
template <int bytes>
TORCHCONV_ANYWHERE inline void copy_async(void* to, const void* from, int there) {
#ifdef __CUDA_ARCH__
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(to));
  if constexpr (bytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from),
                 "r"(there)
                 : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(address), "l"(from),
                 "n"(bytes), "r"(there)
                 : "memory");
  }
#elif !defined(__CUDACC__)
  host::copy_later({to, from, bytes, there});
#endif
}

/// The same of 16 bytes, or of none.
TORCHCONV_ANYWHERE inline void copy_async_if(bool inside, void* to, const void* from) {
#ifdef __CUDA_ARCH__
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(to));
  asm volatile(
      "{ .reg .pred outside; setp.eq.u32 outside, %2, 0;"
      "  cp.async.cg.shared.global [%0], [%1], 16, outside; }" ::"r"(address),
      "l"(from), "r"(unsigned(inside))
      : "memory");
#elif !defined(__CUDACC__)
  host::copy_later({to, from, 16, inside ? 16 : 0});
#endif
}

/// Makes a group of the copies since the last one.
TORCHCONV_ANYWHERE inline void commit_copies() {
#ifdef __CUDA_ARCH__
  asm volatile("cp.async.commit_group;" ::: "memory");
#elif !defined(__CUDACC__)
  host::commit_copies();
#endif
}

/// Waits for this thread's own copies but those of the last groups.
template <int groups>
TORCHCONV_ANYWHERE inline void wait_copies() {
#ifdef __CUDA_ARCH__
  asm volatile("cp.async.wait_group %0;" ::"n"(groups) : "memory");
#elif !defined(__CUDACC__)
  host::wait_copies(groups);
#endif
}

// ---- fragments ---------------------------------------------------------------------------------

/// Loads four matrices of 8 x 16 bytes: lane l names row l % 8 of matrix l / 8. It gets the bytes
/// 4t of row g of each; transposed, the elements (of 16 bits) g of rows 2t and 2t + 1.
template <bool transposed>
TORCHCONV_ANYWHERE inline void load_matrices(const void* row, uint32_t (&out)[4]) {
#ifdef __CUDA_ARCH__
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(row));
  if constexpr (transposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"(address)
                 : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"(address)
                 : "memory");
  }
#elif !defined(__CUDACC__)
  const auto rows = host::exchange(static_cast<const char*>(row));
  const int g = host::lane() / 4, t = host::lane() % 4;
  for (int m = 0; m < 4; ++m) {
    if (!transposed) {
      std::memcpy(&out[m], rows[8 * m + g] + 4 * t, 4);
      continue;
    }
    for (int i = 0; i < 2; ++i) {
      std::memcpy(reinterpret_cast<char*>(&out[m]) + 2 * i, rows[8 * m + 2 * t + i] + 2 * g, 2);
    }
  }
#endif
}

/// The nearest TF32: float32 with 10 bits of mantissa, ties away from zero. Infinity beyond the
/// largest.
TORCHCONV_ANYWHERE inline uint32_t to_tf32(float x) {
#ifdef __CUDA_ARCH__
  uint32_t bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
  return bits;
#else
  const auto bits = as_bits<uint32_t>(x);
  if ((bits & 0x7f800000) == 0x7f800000) return bits;
  return (bits + 0x1000) & ~0x1fffu;
#endif
}

// ---- products ----------------------------------------------------------------------------------

#ifndef __CUDACC__
namespace host {

struct Fragments {
  uint32_t rows[4], columns[2];
};

/// sums += rows · columns, of words that hold `in_word` factors each.
template <int in_word, class Factor>
void multiply(float (&sums)[4], const uint32_t (&rows)[4], const uint32_t (&columns)[2],
              const Factor& factor) {
  const Fragments own = {
      {rows[0], rows[1], rows[2], rows[3]},
      {columns[0], columns[1]},
  };
  const auto all = exchange(own);
  const int g = lane() / 4, t = lane() % 4;
  // Tiles are seldom full. Zeros are multiplied only where that may give no number.
  uint32_t rows_or = 0, columns_or = 0;
  for (int k = 0; k < 4; ++k) {
    for (const uint32_t word : all[4 * g + k].rows) rows_or |= word;
    for (int n = 2 * t; n < 2 * t + 2; ++n) {
      for (const uint32_t word : all[4 * n + k].columns) columns_or |= word;
    }
  }
  const auto finite = [&](const auto& words) {
    bool all_finite = true;
    for (const uint32_t word : words) {
      for (int i = 0; i < in_word; ++i) all_finite = all_finite && factor(word, i) * 0 == 0;
    }
    return all_finite;
  };
  bool skip = rows_or == 0 || columns_or == 0;
  for (int k = 0; k < 4 && skip; ++k) {
    skip = rows_or == 0 ? finite(all[8 * t + k].columns) && finite(all[8 * t + 4 + k].columns)
                        : finite(all[4 * g + k].rows);
  }
  if (skip) return;
  for (int s = 0; s < 4; ++s) {
    double sum = 0;
    for (int k = 0; k < 8; ++k) {
      const uint32_t row = all[4 * g + k % 4].rows[2 * (k / 4) + s / 2];
      const uint32_t column = all[4 * (2 * t + s % 2) + k % 4].columns[k / 4];
      for (int i = 0; i < in_word; ++i) sum += double(factor(row, i)) * factor(column, i);
    }
    sums[s] = float(sums[s] + sum);
  }
}

}  // namespace host
#endif

TORCHCONV_ANYWHERE inline void mma_16x8x16(float (&sums)[4], const uint32_t (&rows)[4],
                                           const uint32_t (&columns)[2], bf16) {
#ifdef __CUDA_ARCH__
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(rows[0]), "r"(rows[1]), "r"(rows[2]), "r"(rows[3]), "r"(columns[0]), "r"(columns[1]));
#elif !defined(__CUDACC__)
  host::multiply<2>(sums, rows, columns,
                    [](uint32_t word, int i) { return widen(bf16{uint16_t(word >> 16 * i)}); });
#endif
}

TORCHCONV_ANYWHERE inline void mma_16x8x16(float (&sums)[4], const uint32_t (&rows)[4],
                                           const uint32_t (&columns)[2], f16) {
#ifdef __CUDA_ARCH__
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(rows[0]), "r"(rows[1]), "r"(rows[2]), "r"(rows[3]), "r"(columns[0]), "r"(columns[1]));
#elif !defined(__CUDACC__)
  host::multiply<2>(sums, rows, columns,
                    [](uint32_t word, int i) { return widen(f16{uint16_t(word >> 16 * i)}); });
#endif
}

/// Of numbers in TF32.
TORCHCONV_ANYWHERE inline void mma_16x8x8(float (&sums)[4], const uint32_t (&rows)[4],
                                          const uint32_t (&columns)[2]) {
#ifdef __CUDA_ARCH__
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(rows[0]), "r"(rows[1]), "r"(rows[2]), "r"(rows[3]), "r"(columns[0]), "r"(columns[1]));
#elif !defined(__CUDACC__)
  host::multiply<1>(sums, rows, columns,
                    [](uint32_t word, int) { return as_bits<float>(word & ~0x1fffu); });
#endif
}

TORCHCONV_ANYWHERE inline void mma_8x8x4(double (&sums)[2], double row, double column) {
#ifdef __CUDA_ARCH__
  asm("mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%0, %1}, {%2}, {%3}, {%0, %1};"
      : "+d"(sums[0]), "+d"(sums[1])
      : "d"(row), "d"(column));
#elif !defined(__CUDACC__)
  struct Factors {
    double row, column;
  };
  const auto all = host::exchange(Factors{row, column});
  const int g = host::lane() / 4, t = host::lane() % 4;
  for (int s = 0; s < 2; ++s) {
    for (int k = 0; k < 4; ++k) sums[s] += all[4 * g + k].row * all[4 * (2 * t + s) + k].column;
  }
#endif
}

/// The same as four of them: of rows g and g + 8, and eight terms. One instruction from 9.0 on.
TORCHCONV_ANYWHERE inline void mma_16x8x8(double (&upper)[2], double (&lower)[2],
                                          const double (&rows)[4], const double (&columns)[2]) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm("mma.sync.aligned.m16n8k8.row.col.f64.f64.f64.f64 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+d"(upper[0]), "+d"(upper[1]), "+d"(lower[0]), "+d"(lower[1])
      : "d"(rows[0]), "d"(rows[1]), "d"(rows[2]), "d"(rows[3]), "d"(columns[0]), "d"(columns[1]));
#else
  mma_8x8x4(upper, rows[0], columns[0]);
  mma_8x8x4(lower, rows[1], columns[0]);
  mma_8x8x4(upper, rows[2], columns[1]);
  mma_8x8x4(lower, rows[3], columns[1]);
#endif
}

}  // namespace torchconv::cuda
