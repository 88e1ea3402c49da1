// The most multiply-adds that a core does in registers alone: what torchconv.bench compares with.

// Two multiply-adds may start in a cycle and take some six until their results can be used, so this
// many must be independent. Together with their two operands they still fit 16 registers.
constexpr int kFmaChains = 12;

// v = v · scale + step in every lane of every chain, `rounds` times. Returns the number of
// floating-point operations; `sum` receives the sum of the chains, for none to be optimised away.
template <class T>
double fma_peak(int64_t rounds, Accumulator<T> scale, Accumulator<T> step, Accumulator<T>* sum) {
  using Acc = Accumulator<T>;
  const Vec<Acc> scales = broadcast(scale), steps = broadcast(step);
  Vec<Acc> chains[kFmaChains];
  for (int i = 0; i < kFmaChains; ++i) chains[i] = broadcast(Acc(i));  // equal ones would be merged
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 16
    for (int i = 0; i < kFmaChains; ++i) chains[i] = chains[i] * scales + steps;
  }
  Vec<Acc> total = chains[0];
  for (int i = 1; i < kFmaChains; ++i) total += chains[i];
  *sum = total[0];
  return 2.0 * static_cast<double>(rounds) * kFmaChains * kLanes<Acc>;
}
