// max_pool2d on the CPU: huge pages for results, and threads for kernels.
#include "cpu/max_pool2d.h"

#include "cpu/allocate.h"
#include "max_pool2d_entries.h"

namespace torchconv {
namespace {

struct Cpu {
  static at::Tensor empty(at::IntArrayRef sizes, const at::TensorOptions& options,
                          at::MemoryFormat format) {
    return empty_result(sizes, options, format);
  }

  template <class T, class Offset>
  static void forward(const at::Tensor&, const Pool2dArgs<const T, T, Offset>& args) {
    compute_max_pool2d(args);
  }
  template <class T, class Offset>
  static void backward(const at::Tensor&, const Pool2dArgs<T, const T, const Offset>& args) {
    compute_max_pool2d_backward(args);
  }
  template <class T, class Offset>
  static void gather(const at::Tensor&, const Pool2dArgs<const T, T, const Offset>& args) {
    compute_max_pool2d_gather(args);
  }

  template <class Offset>
  static void indices(const at::Tensor&, const Pool2dShape& s, const View4<const Offset>& offsets,
                      const View4<int64_t>& indices) {
    parallel(s.batch * s.channels * s.out_h, s.out_w, [&](int64_t begin, int64_t end) {
      for (int64_t item = begin; item < end; ++item) {
        const int64_t row = item % s.out_h, channel = item / s.out_h % s.channels;
        const int64_t image = item / s.out_h / s.channels;
        const Offset* from =
            offsets.data + image * offsets.n + channel * offsets.c + row * offsets.h;
        int64_t* to = indices.data + image * indices.n + channel * indices.c + row * indices.h;
        for (int64_t col = 0; col < s.out_w; ++col) {
          const PlaneIndex at = place_in_plane(s, from[col * offsets.w], row, col);
          to[col * indices.w] = at.inside ? at.row * s.in_w + at.col : -1;
        }
      }
    });
  }
};

}  // namespace

TORCH_LIBRARY_IMPL(torchconv, CPU, m) { MaxPool2dEntries<Cpu>::register_in(m); }

}  // namespace torchconv
