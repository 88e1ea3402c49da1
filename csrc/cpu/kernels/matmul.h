// out[rows, cols] = a[rows, depth] · b[depth, cols] + bias, any strides.

// Packs the operands of a tile, or says where they lie if too little would reuse a packed copy.
template <class T>
struct MatMulTile {
  using P = Packed<T>;

  const MatMulArgs<T>& args;
  const MatMulPlan& plan;
  int64_t* row_table;
  int64_t* col_table;
  P* packed_a;  // [kPackedRows, kTileDepth]
  P* packed_b;  // [col_tile, kTileDepth]

  static int64_t packed_depth(int64_t depth) { return ceil_div(depth, PackedOf<T>::kTerms); }

  Rows<P> rows(int64_t row, int64_t count, int64_t panel, int64_t k, int64_t depth) const {
    const T* a = args.a + row * args.a_row + k * args.a_col;
    constexpr int64_t kTerms = PackedOf<T>::kTerms;
    if constexpr (sizeof(T) * kTerms == sizeof(P)) {
      if (plan.direct_a) {
        const int64_t step = args.a_row / kTerms;
        fill_table(packed_depth(depth), args.a_col, row_table);
        return {reinterpret_cast<const P*>(a), step, step, row_table, panel};
      }
    }
    fill_table(packed_depth(depth), panel, row_table);
    pack_panels(a, args.a_row, args.a_col, count, depth, panel, packed_a);
    return {packed_a, packed_depth(depth), 1, row_table, panel};
  }

  Cols<P> cols(int64_t col, int64_t count, int64_t panel, int64_t k, int64_t depth) const {
    const T* b = args.b + k * args.b_row + col * args.b_col;
    if constexpr (sizeof(T) == sizeof(P)) {
      if (plan.direct_b && args.b_col == 1 && count % panel == 0) {
        fill_table(depth, args.b_row, col_table);
        return {b, 1, col_table, panel};
      }
    }
    fill_table(packed_depth(depth), panel, col_table);
    pack_panels(b, args.b_col, args.b_row, count, depth, panel, packed_b);
    return {packed_b, packed_depth(depth), col_table, panel};
  }
};

template <class T>
void matmul_tile(const MatMulArgs<T>& args, const MatMulPlan& plan, int64_t row, int64_t rows,
                 int64_t col, int64_t cols, void* memory) {
  using P = Packed<T>;
  using Acc = Accumulator<T>;
  Scratch scratch{static_cast<char*>(memory)};
  const MatMulTile<T> tile{args,
                           plan,
                           scratch.take<int64_t>(kTileDepth),
                           scratch.take<int64_t>(kTileDepth),
                           scratch.take<P>((kPackedRows + kGemmRows) * kTileDepth),
                           scratch.take<P>(plan.col_tile * kTileDepth)};
  Acc* bias = scratch.take<Acc>(plan.bias_elements);
  Acc* sums = scratch.take<Acc>(plan.row_tile * plan.sum_row);
  constexpr int64_t kDepth = kTileDepth * PackedOf<T>::kTerms;
  const int64_t blocks = ceil_div(args.depth, kDepth);
  Acc* totals = blocks > kSpanBlocks ? scratch.take<Acc>(plan.row_tile * plan.sum_row) : sums;
  const T* first_bias = args.bias == nullptr
                            ? nullptr
                            : args.bias + (args.bias_of_rows ? row : col) * args.bias_stride;
  TileSums<P> total{sums, plan.sum_row, totals,
                    start_with_bias(first_bias, args.bias_stride, args.bias_of_rows,
                                    args.bias_of_rows ? rows : cols, bias)};
  T* out = args.out + row * args.out_row + col * args.out_col;
  bool direct = false;
  if constexpr (sizeof(T) == sizeof(Acc)) {
    direct = args.out_col == 1 && blocks > 0 && blocks <= kSpanBlocks;
    if (direct) total.write_to(out, args.out_row, blocks);
  }
  const bool wide = rows <= kFewRows || plan.wide;
  const int64_t panel = wide ? kWideCols<P> : kPanelCols<P>;
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t k = block * kDepth, depth = least(kDepth, args.depth - k);
    // Columns that are multiplied as they lie end with the last whole panel.
    const int64_t whole = plan.direct_b && cols > panel ? cols / panel * panel : cols;
    for (int64_t j = 0; j < cols; j += whole) {
      const int64_t count = least(whole, cols - j);
      const Cols<P> b = tile.cols(col + j, count, panel, k, depth);
      for (int64_t i = 0; i < rows; i += kPackedRows) {
        const int64_t some = least(kPackedRows, rows - i);
        const int64_t height = panel_rows(some, wide ? kFewRows : kGemmRows);
        total.at(i, j).add_block(block, some, count, tile.packed_depth(depth),
                                 tile.rows(row + i, some, height, k, depth), b);
      }
    }
  }
  if (direct) return;
  const Acc* result = total.finish(blocks, rows, cols);
  copy_block(result, plan.sum_row, 1, rows, cols, out, args.out_row, args.out_col);
}

template <class T>
void matmul(const MatMulArgs<T>& args, const MatMulPlan& plan, int64_t begin, int64_t end,
            void* scratch) {
  const int64_t strips = ceil_div(args.cols, plan.col_tile);
  for (int64_t tile = begin; tile < end; ++tile) {
    const int64_t row = tile / strips * plan.row_tile, col = tile % strips * plan.col_tile;
    matmul_tile(args, plan, row, least(plan.row_tile, args.rows - row), col,
                least(plan.col_tile, args.cols - col), scratch);
  }
}
