#include "cpu/fma_peak.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <vector>

#include "cpu/isa.h"

namespace torchconv {
namespace {

constexpr int kWindows = 5;
constexpr int64_t kRounds = 10000;  // tens of microseconds between two looks at the clock

// GFLOP/s of one thread that works for so many seconds.
template <class T>
double rate_of_thread(double seconds) {
  using Clock = std::chrono::steady_clock;
  Accumulator<T> sum;
  double operations = 0, elapsed = 0;
  const Clock::time_point start = Clock::now();
  do {
    // Towards 1: neither infinite nor subnormal, which some CPUs compute with more slowly.
    operations += kernels().of(T{}).fma_peak(kRounds, 0.5, 0.5, &sum);
    elapsed = std::chrono::duration<double>(Clock::now() - start).count();
  } while (elapsed < seconds);
  return operations / elapsed * 1e-9;
}

template <class T>
double peak(int64_t threads, double seconds) {
  double best = 0;
  for (int window = 0; window < kWindows; ++window) {
    std::vector<double> rates(threads);
    at::parallel_for(0, threads, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) rates[i] = rate_of_thread<T>(seconds / kWindows);
    });
    double sum = 0;
    for (double rate : rates) sum += rate;
    best = std::max(best, sum);
  }
  return best;
}

}  // namespace

double fma_peak(const std::string& dtype, int64_t threads, double seconds) {
  const int64_t most = at::get_num_threads();
  if (threads < 1 || threads > most) {
    // More items than threads would run one after the other and add up to a rate that nobody has.
    throw std::invalid_argument("fma_peak: expected threads from 1 to torch.get_num_threads() == " +
                                std::to_string(most) + ", but got " + std::to_string(threads));
  }
  if (!(seconds > 0)) {
    throw std::invalid_argument("fma_peak: expected seconds > 0, but got " +
                                std::to_string(seconds));
  }
  if (dtype == "float64") return peak<double>(threads, seconds);
  if (dtype == "float32") return peak<float>(threads, seconds);
  if (dtype == "bfloat16") return peak<bf16>(threads, seconds);
  if (dtype == "float16") return peak<f16>(threads, seconds);
  throw std::invalid_argument(
      "fma_peak: expected dtype float32, float64, bfloat16 or float16, but got '" + dtype + "'");
}

}  // namespace torchconv
