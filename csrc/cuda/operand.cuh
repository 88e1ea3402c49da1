// What a product multiplies: out[i, j] = Σ_k rows[i, k] · columns[j, k], where neither operand need
// be a matrix. An index is written in up to three digits, each of which adds something to an offset
// in memory and to a row and a column of an image; an element is where the two indices of an
// operand have led, and zero outside of the image. So no image is ever unfolded (im2col), turned
// or padded:
//
//   matmul                  i a row, k a term
//   conv2d                  i = (image, out_row, out_column); k = (channel, tap row, tap column)
//   gradient of its input   the same with steps back; of its weight: i and k with changed parts
//
// Digits may come in any order; what matters is that the last one, which runs fastest, is the one
// whose elements are neighbours in memory.
#pragma once

#include <algorithm>
#include <array>

#include "cuda/arithmetic.cuh"

namespace torchconv::cuda {

/// Where an index, or a pair of them, leads to.
struct alignas(16) Place {
  int64_t offset;
  int32_t row, column;
};
TORCHCONV_ANYWHERE inline Place operator+(const Place& a, const Place& b) {
  return {a.offset + b.offset, a.row + b.row, a.column + b.column};
}

/// A place outside of every image, whatever is added to it.
constexpr int32_t kOutside = -(1 << 29);

/// One digit of an index: how many values it has, and what each step of it adds.
struct Digit {
  int64_t extent = 1, offset = 0;
  int32_t row = 0, column = 0;
};

/// An index below `extent`.
class Axis {
 public:
  /// Digits from the slowest to the fastest; those next to each other that are one run of steps
  /// become one digit.
  Axis(Digit first, Digit second, Digit third) : second_(1), third_(1) {
    digits_[0] = first;
    digits_[1] = second;
    digits_[2] = third;
    join(1);
    join(0);
    join(1);
    second_ = Divider<int32_t>(std::max<int32_t>(int32_t(digits_[1].extent), 1));
    third_ = Divider<int32_t>(std::max<int32_t>(int32_t(digits_[2].extent), 1));
    extent_ = int32_t(digits_[0].extent * digits_[1].extent * digits_[2].extent);
    single_ = digits_[0].extent == 1 && digits_[1].extent == 1;
  }
  explicit Axis(Digit only = {}) : Axis({}, {}, only) {}

  TORCHCONV_ANYWHERE int32_t extent() const { return extent_; }
  const Digit& digit(int i) const { return digits_[i]; }

  TORCHCONV_ANYWHERE Place operator()(int32_t index) const {
    if (single_) return start_ + step(2, index);
    const int32_t third = third_.divide(&index), second = second_.divide(&index);
    return start_ + step(0, index) + step(1, second) + step(2, third);
  }

  /// Where index 0 leads to: the origin, until something else is said.
  const Place& start() const { return start_; }
  void begin_at(const Place& place) { start_ = place; }

 private:
  Digit digits_[3];
  Divider<int32_t> second_, third_;
  Place start_{0, 0, 0};
  int32_t extent_ = 0;
  bool single_ = false;  // whether there is but one digit

  TORCHCONV_ANYWHERE Place step(int i, int32_t n) const {
    const Digit& digit = digits_[i];
    return {n * digit.offset, n * digit.row, n * digit.column};
  }

  /// Makes one of digit i and the next one, if they are: it becomes the next one.
  void join(int i) {
    Digit &slow = digits_[i], &fast = digits_[i + 1];
    const bool same_steps = slow.offset == fast.extent * fast.offset &&
                            slow.row == fast.extent * fast.row &&
                            slow.column == fast.extent * fast.column;
    if (slow.extent == 1 || (fast.extent != 1 && !same_steps)) return;
    if (fast.extent == 1) {
      fast = slow;
    } else {
      fast.extent *= slow.extent;
    }
    slow = {};
  }
};

/// Which rows a result has, where it is counted as if it had more: `real` ones of each `of`.
struct RealRows {
  Divider<int32_t> of{1};
  int32_t real = 1;

  TORCHCONV_ANYWHERE bool operator()(int32_t row) const { return of.divide(&row) < real; }
};

/// rows[i, k] or columns[j, k] of a product.
template <class T>
struct Operand {
  const T* data = nullptr;
  Axis outer, sum;
  int32_t height = 1, width = 1;  // of the image; 1 where there are no bounds to heed
  bool along_sum = true;          // whether neighbours in shared memory are those along the sum
  bool vectors = false;           // whether 16 bytes of them are neighbours in memory, too, aligned

  TORCHCONV_ANYWHERE bool inside(const Place& place) const {
    return uint32_t(place.row) < uint32_t(height) && uint32_t(place.column) < uint32_t(width);
  }
};

/// Settles how an operand is loaded. `steps` are the distances between the matrices of a batch.
template <class T>
void arrange(Operand<T>* operand, const std::array<int64_t, 3>& steps) {
  constexpr int64_t kVector = 16 / sizeof(T);
  const auto aligned_steps = [&](const Axis& axis, int from) {
    for (int d = 0; d <= from; ++d) {
      if (axis.digit(d).extent > 1 && axis.digit(d).offset % kVector != 0) return false;
    }
    return true;
  };
  const auto run_along = [](const Axis& axis) {
    const Digit& last = axis.digit(2);
    return last.extent > 1 && last.offset == 1;
  };
  const auto vectors_along = [&](const Axis& axis, const Axis& other) {
    const Digit& last = axis.digit(2);
    const bool whole = last.extent % kVector == 0 || last.extent == axis.extent();
    return run_along(axis) && last.row == 0 && last.column == 0 && whole &&
           aligned_steps(axis, 1) && aligned_steps(other, 2);
  };
  bool aligned = reinterpret_cast<uintptr_t>(operand->data) % 16 == 0;
  aligned = aligned && operand->outer.start().offset % kVector == 0;
  for (const int64_t step : steps) aligned = aligned && step % kVector == 0;
  const bool by_sum = aligned && vectors_along(operand->sum, operand->outer);
  const bool by_outer = aligned && vectors_along(operand->outer, operand->sum);
  operand->vectors = by_sum || by_outer;
  operand->along_sum = operand->vectors ? by_sum : !run_along(operand->outer);
}

/// For kernels that know no other columns; those that lie otherwise are loaded element by element.
template <class T>
void lie_along_sum(Operand<T>* operand) {
  operand->vectors = operand->vectors && operand->along_sum;
  operand->along_sum = true;
}

}  // namespace torchconv::cuda
