// Winograd's minimal filtering: m outputs of r taps in n = m + r - 1 multiplications instead of
// m · r. Along one dimension
//
//   y = Aᵀ [(G g) ⊙ (Bᵀ d)]        y[i] = Σ_l g[l] · d[i + l],  i < m, l < r
//
// and in two, where every matrix is applied to rows and columns. (S. Winograd, Arithmetic
// Complexity of Computations, 1980; A. Lavin and S. Gray, arXiv:1509.09308.)
//
// It comes from multiplying polynomials by their values: a product of degree n - 1 is known from
// its values at n points, of which the last is infinity, and filtering is the transpose of that
// product. With M(x) = Π_j (x - p_j) over the n - 1 finite points, M_j = M / (x - p_j):
//
//   Aᵀ[i][j] = p_j^i        G[j][l] = p_j^l / M_j(p_j)        Bᵀ[j][i] = coefficient of x^i in M_j
//
// and for infinity, in the last place, the leading coefficients alone, and those of M. So G carries
// all of the division, and the others stay simple.
//
// The gradient with respect to d is a filtering itself, of grad_y by the turned g. With respect to
// g it is the formula, transposed:
//
//   grad_g = Gᵀ [(A grad_y) ⊙ (Bᵀ d)]
//
// Points decide how far rounding errors grow. These grow least: small numbers of which no two
// are close, with ½ and -2 instead of the textbook's 2 and -2.

template <int n>
struct Points;
template <>
struct Points<4> {
  static constexpr double at[] = {0, 1, -1};
};
template <>
struct Points<6> {
  static constexpr double at[] = {0, 1, -1, 0.5, -2};
};

template <int rows, int cols>
struct Matrix {
  static constexpr int kRows = rows, kCols = cols;
  double at[rows][cols];
};

template <int rows, int cols>
constexpr Matrix<cols, rows> transposed(const Matrix<rows, cols>& a) {
  Matrix<cols, rows> t{};
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < cols; ++j) t.at[j][i] = a.at[i][j];
  }
  return t;
}

// G, for as many taps as it has columns; A, which is the same but not divided by M_j(p_j).
template <int n, int taps, bool kDivided>
constexpr Matrix<n, taps> values_at_points() {
  Matrix<n, taps> g{};
  for (int j = 0; j < n - 1; ++j) {
    const double p = Points<n>::at[j];
    double value = 1;
    for (int i = 0; i < n - 1; ++i) {
      if (kDivided && i != j) value /= p - Points<n>::at[i];
    }
    for (int l = 0; l < taps; ++l, value *= p) g.at[j][l] = value;
  }
  g.at[n - 1][taps - 1] = 1;
  return g;
}

// Bᵀ
template <int n>
constexpr Matrix<n, n> products_of_points() {
  Matrix<n, n> b{};
  for (int j = 0; j < n; ++j) {
    b.at[j][0] = 1;
    for (int i = 0, degree = 0; i < n - 1; ++i) {
      if (i == j) continue;
      ++degree;  // times (x - p_i)
      for (int k = degree; k >= 0; --k) {
        b.at[j][k] = (k > 0 ? b.at[j][k - 1] : 0) - Points<n>::at[i] * b.at[j][k];
      }
    }
  }
  return b;
}

// y = a · x, without what a multiplies by 0 or ±1. The loops are unrolled, the matrix is constant.
template <class T, int rows, int cols>
[[gnu::always_inline]] inline void multiply_by(const Matrix<rows, cols>& a, const Vec<T> (&x)[cols],
                                               Vec<T> (&y)[rows]) {
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i) {
    bool first = true;
#pragma GCC unroll 8
    for (int j = 0; j < cols; ++j) {
      const double factor = a.at[i][j];
      if (factor == 0) continue;
      const Vec<T> term = factor == 1 || factor == -1 ? x[j] : broadcast(T(factor)) * x[j];
      if (first) {
        y[i] = factor == -1 ? -term : term;
      } else {
        y[i] = factor == -1 ? y[i] - term : y[i] + term;
      }
      first = false;
    }
  }
}

// A transform of kIn vectors to kOut, by the matrix By::kAt.
template <class By>
struct Transform {
  static constexpr int kIn = By::kAt.kCols, kOut = By::kAt.kRows;
  template <class T>
  static void apply(const Vec<T> (&x)[kIn], Vec<T> (&y)[kOut]) {
    multiply_by<T>(By::kAt, x, y);
  }
};

// By Bᵀ; of 6 points in 16 operations instead of 20, most of them additions.
template <int n>
struct InTransform {
  static constexpr int kIn = n, kOut = n;
  static constexpr Matrix<n, n> kAt = products_of_points<n>();
  template <class T>
  static void apply(const Vec<T> (&x)[n], Vec<T> (&y)[n]) {
    if constexpr (n == 6) {
      const T half = T(0.5), three_halves = T(1.5);
      const Vec<T> p = x[3] - x[1], q = x[4] - x[2];
      y[0] = (x[0] - x[2]) + q + three_halves * p;
      y[1] = (q + p) + three_halves * (x[2] + x[3]);
      y[2] = (q - p) + three_halves * (x[3] - x[2]);
      y[3] = q + T(2) * p;
      y[4] = q - half * p;
      y[5] = (x[5] - x[3]) - p + three_halves * q;
    } else {
      multiply_by<T>(kAt, x, y);
    }
  }
};

// F(m, r)
template <int m, int r>
struct Winograd {
  static constexpr int n = m + r - 1;

  struct G {
    static constexpr Matrix<n, r> kAt = values_at_points<n, r, true>();
  };
  struct GTransposed {
    static constexpr Matrix<r, n> kAt = transposed(G::kAt);
  };
  struct A {
    static constexpr Matrix<n, m> kAt = values_at_points<n, m, false>();
  };
  struct ATransposed {
    static constexpr Matrix<m, n> kAt = transposed(A::kAt);
  };

  using In = InTransform<n>;
  using Weight = Transform<G>;
  using Out = Transform<ATransposed>;
  using OutGradient = Transform<A>;
  using WeightGradient = Transform<GTransposed>;
};

// A square of kIn x kIn vectors to kOut x kOut others, by a transform of its columns and then of
// its rows; `bias`, if not nullptr, is added to each. All is read before anything is written.
template <class F, class T>
[[gnu::always_inline]] inline void transform_square(const T* in, int64_t in_row, int64_t in_col,
                                                    const T* bias, T* out, int64_t out_row,
                                                    int64_t out_col) {
  constexpr int kIn = F::kIn, kOut = F::kOut;
  Vec<T> mid[kOut][kIn];
#pragma GCC unroll 8
  for (int j = 0; j < kIn; ++j) {
    Vec<T> column[kIn], result[kOut];
#pragma GCC unroll 8
    for (int i = 0; i < kIn; ++i) column[i] = load(in + i * in_row + j * in_col);
    F::template apply<T>(column, result);
#pragma GCC unroll 8
    for (int i = 0; i < kOut; ++i) mid[i][j] = result[i];
  }
#pragma GCC unroll 8
  for (int i = 0; i < kOut; ++i) {
    Vec<T> row[kOut];
    F::template apply<T>(mid[i], row);
#pragma GCC unroll 8
    for (int j = 0; j < kOut; ++j) {
      if (bias != nullptr) row[j] += load(bias);
      store(out + i * out_row + j * out_col, row[j]);
    }
  }
}
