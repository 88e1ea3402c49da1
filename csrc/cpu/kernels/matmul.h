// out[rows, cols] = a[rows, depth] · b[depth, cols] + bias[cols], any strides of a and b.

template <class T>
void matmul(const MatMulArgs<T>& args, int64_t begin, int64_t end, void* scratch) {
  const StridedOperand<T> a{args.a, axis(args.a_row), axis(args.a_col)};
  const StridedOperand<T> b{args.b, axis(args.b_col), axis(args.b_row)};
  const StridedStore<T> out{args.out, axis(args.out_row), axis(1),
                            nullptr,  args.bias,          args.bias_stride};
  for (int64_t tile = begin; tile < end; ++tile) {
    gemm_tile_at<T>(tile, args.rows, args.cols, a, b, out, 0, args.depth, scratch);
  }
}
