// Where results and scratch come from: torch's allocator, with huge pages advised before first
// touch.
//
// A fresh large block costs a page fault for every 4 KiB that a kernel writes, which for
// memory-bound operators is more than their work. With 2 MiB pages there are 512 times fewer.
// csrc/README.md has what that brings, operator by operator.
#pragma once

#include <ATen/core/Tensor.h>

namespace torchconv {

/// Uninitialised result.
at::Tensor empty_result(at::IntArrayRef sizes, const at::TensorOptions& options,
                        at::MemoryFormat format = at::MemoryFormat::Contiguous);

/// Asks for huge pages for a tensor that nothing has been written to, if it is large.
at::Tensor advise_huge_pages(at::Tensor tensor);

/// Whether so many bytes of a result had better be stored past the caches: whoever reads them next
/// finds them in memory either way, and what they replace is not read first. Of elementwise
/// operators only; pooling reads four times what it writes, and backward writes rows in pieces.
bool past_caches(int64_t bytes);

/// Uninitialised scratch of `bytes` for each of `threads`, freed with the tensor.
at::Tensor empty_scratch(int64_t threads, int64_t bytes);

/// The switch; initially on, unless the environment variable TORCHCONV_HUGE_PAGES is 0.
bool huge_pages();
void set_huge_pages(bool on);

}  // namespace torchconv
