// Operators on elements that all operands have in the same order, without gaps.
#pragma once

#include "cuda/runs.cuh"

namespace torchconv::cuda {

/// out[i] = function(in[0][i], …), in the type in which T is computed.
template <class T, class Function, int kInputs>
struct Elementwise {
  static constexpr int kRuns = 4 / kInputs;  // 64 bytes of loads

  const T* in[kInputs];
  T* out;
  int64_t size;

  int64_t items() const { return spread_items(ceil_div<int64_t>(size, kVector<T>), kRuns); }

  TORCHCONV_ANYWHERE void operator()(int64_t item) const {
    const T* from[kRuns * kInputs];
    int there[kRuns * kInputs];
    Run<T, kVector<T>> loaded[kRuns * kInputs];
#pragma unroll
    for (int r = 0; r < kRuns * kInputs; ++r) {
      const int64_t first = spread(item, r / kInputs, kRuns) * kVector<T>;
      from[r] = in[r % kInputs] + first;
      there[r] = left(first);
    }
    load_runs(from, 1, there, T{}, loaded);
#pragma unroll
    for (int k = 0; k < kRuns; ++k) {
      T results[kVector<T>];
#pragma unroll
      for (int i = 0; i < kVector<T>; ++i) {
        Accumulator<T> operands[kInputs];
#pragma unroll
        for (int j = 0; j < kInputs; ++j) operands[j] = widen(loaded[k * kInputs + j][i]);
        narrow(Function::of(operands, T{}), &results[i]);
      }
      store_run(out + (from[k * kInputs] - in[0]), 1, there[k * kInputs], results);
    }
  }

 private:
  /// How many elements of the vector at `first` there are.
  TORCHCONV_ANYWHERE int left(int64_t first) const {
    const int64_t rest = size - first;
    return rest >= kVector<T> ? kVector<T> : rest > 0 ? int(rest) : 0;
  }
};

/// Computes it for so many elements.
template <class Function, class T, int kInputs>
void launch_elementwise(const at::Tensor& on, const T* const (&in)[kInputs], T* out, int64_t size) {
  Elementwise<T, Function, kInputs> body;
  for (int i = 0; i < kInputs; ++i) body.in[i] = in[i];
  body.out = out;
  body.size = size;
  launch(on, body, body.items());
}

}  // namespace torchconv::cuda
