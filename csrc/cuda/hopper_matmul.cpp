// matmul and linear on Hopper GPUs.
#include "cuda/hopper.h"
#include "cuda/hopper_tensors.h"
#include "cuda/relaid.h"

namespace torchconv::cuda {
namespace {

/// A stack of matrices, of which each has so many rows, or columns, and terms of a sum.
template <class T>
class HopperOperand {
 public:
  HopperOperand(const at::Tensor& t, int64_t indices, int index, int term, int64_t items,
                int64_t item_step, bool split)
      : t_(t),
        split_(split),
        indices_(indices),
        items_(item_step == 0 ? 1 : items),
        view_{data_of<const T>(t), item_step, t.stride(term), 0, t.stride(index)},
        terms_(t.size(term)) {}

  /// Returns false if the copy engine can read neither it nor a copy.
  bool load(int extent, TilePlan* to) {
    to->item_step = items_ == 1 ? 0 : 1;
    to->lower_step = 1;
    if (!split_ && load_matrix(matrix(view_), extent, to)) return true;
    const ImageSizes sizes{items_, terms_, 1, indices_};
    relaid_.emplace(view_, sizes, ImageOrder::kChannels, split_);
    return load_matrix(matrix(relaid_->view()), extent, to);
  }
  /// Makes the copy, which has to stay until the product is launched.
  std::shared_ptr<void> copy(TilePlan* to) const {
    if (!relaid_ || relaid_->bytes() == 0) return {};
    auto memory = relaid_->copy(t_);
    to->set_data(memory.get());
    return memory;
  }

 private:
  const at::Tensor& t_;
  bool split_;
  int64_t indices_, items_;
  View4<const T> view_;  // items, terms and indices in the place of images, channels and columns
  int64_t terms_;
  std::optional<Relaid<T>> relaid_;

  LoadedMatrix matrix(const View4<const T>& v) const {
    const int64_t parts = split_ ? 2 : 1, lower = items_ * v.n;
    return {v.data, MapElementOf<T>::value, terms_, indices_, items_, parts, v.c, v.w, v.n, lower};
  }
};

}  // namespace

bool hopper_matmul(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b,
                   const std::optional<at::Tensor>& bias, const Batch& batch, int64_t rows,
                   Float32Math float32) {
  const int64_t columns = out.size(-1), terms = a.size(-1), items = batch.extents[2];
  const bool counted = batch.items() == items && items * rows < (int64_t(1) << 29);
  if (!counted || !takes_hopper(out, float32) || std::min({rows, columns, terms}) == 0) {
    return false;
  }
  return with_hopper_type(out.scalar_type(), [&](auto type) {
    using T = decltype(type);
    ProductArgs<T> args;
    args.rows.outer = Axis({rows, 0});
    args.rows.sum = Axis({terms, 0});
    args.columns.outer = Axis({columns, 0});
    args.batch = batch;
    args.out = data_of<T>(out);
    args.out_rows = Axis({rows, columns});
    args.out_columns = Axis({columns, 1});
    if (bias) {
      args.bias = data_of<const T>(*bias);
      args.bias_step = bias->stride(0);
    }
    const SumSteps steps(1, 1, terms, kStepTerms<T>);
    const bool split = splits<T>(float32);
    HopperProduct<T> p(args, steps, ceil_div<int64_t>(rows, kTileRows), split);
    HopperOperand<T> left(a, rows, -2, -1, items, batch.rows[2], split);
    HopperOperand<T> right(b, columns, -1, -2, items, batch.columns[2], split);
    if (!left.load(kTileRows, &p.row_load)) return false;
    if (!right.load(p.cut.columns, &p.column_load)) return false;
    const std::shared_ptr<void> copies[2] = {left.copy(&p.row_load), right.copy(&p.column_load)};
    launch_hopper(out, p);
    return true;
  });
}

}  // namespace torchconv::cuda
