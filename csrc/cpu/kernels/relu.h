// out = max(x, 0) and its gradient. NaN stays NaN, and passes its gradient on.

template <class T>
void relu(const T* x, T* out, int64_t n) {
  using Acc = Accumulator<T>;
  constexpr int64_t kStep = kLanes<Acc>;
  const Vec<Acc> zero = {};
  int64_t i = 0;
  for (; i + kStep <= n; i += kStep) {
    const Vec<Acc> v = load(x + i);
    store(out + i, v < zero ? zero : v);
  }
  if (i < n) {
    const Vec<Acc> v = load_first(x + i, n - i);
    store_first(out + i, v < zero ? zero : v, n - i);
  }
}

template <class T>
void relu_integer(const T* x, T* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    out[i] = x[i] > T(0) ? x[i] : T(0);  // the compiler vectorises this
}

// grad_x = 0 where out <= 0, else grad_out
template <class T>
void relu_backward(const T* grad_out, const T* out, T* grad_x, int64_t n) {
  using Acc = Accumulator<T>;
  constexpr int64_t kStep = kLanes<Acc>;
  const Vec<Acc> zero = {};
  int64_t i = 0;
  for (; i + kStep <= n; i += kStep) {
    store(grad_x + i, load(out + i) <= zero ? zero : load(grad_out + i));
  }
  if (i < n) {
    const int64_t rest = n - i;
    store_first(grad_x + i,
                load_first(out + i, rest) <= zero ? zero : load_first(grad_out + i, rest), rest);
  }
}
