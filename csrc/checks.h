// The one grammar of refusals, shared by every operator and device:
//
//   conv2d: expected x.size(1) == 3 (weight.size(1) · groups), but got 4
//
// A failed check raises RuntimeError, and nothing that the caller holds is written. `Int` is
// int64_t in kernels, c10::SymInt in meta kernels.
#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <optional>

#include "shapes.h"

#define TORCHCONV_EXPECT(condition, op, got, ...) \
  TORCH_CHECK(condition, op, ": expected ", __VA_ARGS__, ", but got ", got)

namespace torchconv {

template <class Int>
using IntList = c10::ArrayRef<Int>;

template <class Int>
IntList<Int> sizes_of(const at::Tensor& tensor) {
  if constexpr (std::is_same_v<Int, int64_t>) {
    return tensor.sizes();
  } else {
    return tensor.sym_sizes();
  }
}

/// "float32", as Python spells it.
const char* dtype_name(at::ScalarType dtype);

/// `name` must hold float32, float64, bfloat16 or float16.
void check_floating(const char* op, const at::Tensor& tensor, const char* name);

/// The same, or a signed or unsigned integer of up to 64 bits.
void check_real(const char* op, const at::Tensor& tensor, const char* name);

/// `name` must have the dtype and device of `reference`.
void check_same(const char* op, const at::Tensor& tensor, const char* name,
                const at::Tensor& reference, const char* reference_name);

/// `name` must have `rank` dimensions; `dims` lists them: "[batch, in_channels, height, width]".
void check_rank(const char* op, const at::Tensor& tensor, const char* name, int64_t rank,
                const char* dims);

// Comparisons for TORCHCONV_EXPECT. A symbolic size can be unbacked, such as the number of rows in
// x[mask]: it has no value during tracing. expect_true then returns true and adds a runtime
// assertion to the graph.
inline bool is_equal(int64_t a, int64_t b) { return a == b; }
inline bool is_equal(const c10::SymInt& a, const c10::SymInt& b) {
  return a.sym_eq(b).expect_true(__FILE__, __LINE__);
}
inline bool is_at_least(int64_t a, int64_t b) { return a >= b; }
inline bool is_at_least(const c10::SymInt& a, const c10::SymInt& b) {
  return a.sym_ge(b).expect_true(__FILE__, __LINE__);
}

/// True if the size is 1. A backed size adds a guard, an undecided one gives false.
inline bool is_known_one(int64_t size) { return size == 1; }
inline bool is_known_one(const c10::SymInt& size) { return TORCH_GUARD_OR_FALSE(size.sym_eq(1)); }

template <class Int>
bool are_equal(IntList<Int> a, IntList<Int> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Int& x, const Int& y) { return is_equal(x, y); });
}

template <class Int>
void check_length(const char* op, IntList<Int> list, const char* name, size_t length,
                  const char* meaning) {
  TORCHCONV_EXPECT(list.size() == length, op, list, name, " to have ", length, " values (", meaning,
                   ")");
}

template <class Int>
void check_at_least(const char* op, IntList<Int> list, const char* name, int64_t least,
                    const char* what) {
  for (const Int& value : list) {
    TORCHCONV_EXPECT(is_at_least(value, Int(least)), op, list, name, " to be ", what);
  }
}

template <class Int>
void check_shape(const char* op, const at::Tensor& tensor, const char* name,
                 IntList<Int> expected) {
  TORCHCONV_EXPECT(are_equal(sizes_of<Int>(tensor), expected), op, sizes_of<Int>(tensor), name,
                   " to have shape ", expected);
}

/// a · b and a + b, or a refusal where the result does not fit in 64 bits.
int64_t checked_mul(const char* op, int64_t a, int64_t b);
int64_t checked_add(const char* op, int64_t a, int64_t b);
c10::SymInt checked_mul(const char* op, const c10::SymInt& a, const c10::SymInt& b);
c10::SymInt checked_add(const char* op, const c10::SymInt& a, const c10::SymInt& b);

/// The product of the nonzero sizes, times 8 bytes, must fit in 64 bits. Checks known sizes only;
/// symbolic sizes are checked by the kernel.
template <class Int>
void check_countable(const char* op, IntList<Int> sizes) {
  int64_t bytes = 8;
  for (const Int& size : sizes) {
    const std::optional<int64_t> known = c10::SymInt(size).maybe_as_int();
    if (known.value_or(0) > 0) bytes = checked_mul(op, bytes, *known);
  }
}

inline at::MemoryFormat image_format(bool channels_last) {
  return channels_last ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
}

/// Channels last if either tensor is, as in torch.
inline at::MemoryFormat common_format(const at::Tensor& a, const at::Tensor& b) {
  return image_format(a.suggest_memory_format() == at::MemoryFormat::ChannelsLast ||
                      b.suggest_memory_format() == at::MemoryFormat::ChannelsLast);
}

}  // namespace torchconv
