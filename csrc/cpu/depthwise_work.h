// How a depthwise convolution is shared out: along what its kernels run their lanes, the items of
// work, and the scratch for each thread.
#pragma once

#include "cpu/kernels.h"

namespace torchconv {

/// Lanes run along the pixels of a plane, or along the channels where these are contiguous. Small
/// planes would not fill them: some channels at a time are turned into [pixel][channel] in scratch.
enum class DepthwiseLanes { pixels, channels, turned };

/// Whether pixels follow each other in memory.
template <class T>
bool is_flat(const View4<T>& view, int64_t width) {
  return view.w == 1 && view.h == width;
}

template <class X, class W, class O>
DepthwiseLanes depthwise_lanes(const Conv2dArgs<X, W, O>& args) {
  const Conv2dShape& s = args.shape;
  if (s.in_channels != s.out_channels) return DepthwiseLanes::pixels;
  if (args.x.c == 1 && args.out.c == 1) return DepthwiseLanes::channels;
  const bool tiles = s.kernel_h == 3 && s.kernel_w == 3 && s.dilation_h == 1 && s.dilation_w == 1 &&
                     s.stride_h == s.stride_w && s.stride_h <= 2;
  const int64_t most = s.stride_h == 1 ? kDepthwiseTurnedPixels : kDepthwiseTurnedPixelsOfStride2;
  const bool small = s.in_h * s.in_w <= most && s.out_h * s.out_w <= most;
  return tiles && small && is_flat(args.x, s.in_w) && is_flat(args.out, s.out_w)
             ? DepthwiseLanes::turned
             : DepthwiseLanes::pixels;
}

/// Items of conv2d and its input gradient: (image, channel, band) of the input; (block of channels,
/// image, group of rows) where channels are contiguous, and (block, image) where they are turned.
inline int64_t depthwise_items(const Conv2dShape& s, const DepthwiseLine& rows,
                               const DepthwiseLine& columns, DepthwiseLanes lanes) {
  switch (lanes) {
    case DepthwiseLanes::channels:
      return ceil_div(s.in_channels, kDepthwiseBlock) * s.batch *
             ceil_div(rows.dest, kDepthwiseRows);
    case DepthwiseLanes::turned:
      return ceil_div(s.in_channels, kDepthwiseTurned) * s.batch;
    default:
      return s.batch * s.in_channels * depthwise_bands(rows, columns).bands;
  }
}

/// Elements of the planes of turned channels, with room for a whole vector of pixels more.
inline int64_t depthwise_turned_size(int64_t pixels) {
  return (pixels + kDepthwiseRounding) * kDepthwiseTurned;
}
inline int64_t depthwise_turned_size(const Conv2dShape& s, DepthwiseLanes lanes) {
  if (lanes != DepthwiseLanes::turned) return 0;
  return depthwise_turned_size(s.in_h * s.in_w) + depthwise_turned_size(s.out_h * s.out_w);
}

template <class T>
int64_t depthwise_scratch_bytes(const Conv2dShape& s, const DepthwiseLine& rows,
                                const DepthwiseLine& columns, DepthwiseLanes lanes) {
  const DepthwiseBands bands = depthwise_bands(rows, columns);
  const int64_t taps = s.kernel_h * s.kernel_w;
  const int64_t elements = lanes == DepthwiseLanes::pixels
                               ? bands.source_size + bands.dest_size
                               : (taps + 3) * kDepthwiseBlock + depthwise_turned_size(s, lanes);
  return elements * int64_t(sizeof(Accumulator<T>)) + taps * kDepthwiseTapBytes;
}

/// Blocks of channels of the weight gradient.
inline int64_t depthwise_weight_blocks(const Conv2dShape& s, DepthwiseLanes lanes) {
  return lanes == DepthwiseLanes::pixels     ? s.out_channels
         : lanes == DepthwiseLanes::channels ? ceil_div(s.in_channels, kDepthwiseBlock)
                                             : ceil_div(s.in_channels, kDepthwiseTurned);
}

/// Pieces of the weight gradient's sum: rows of pixels where channels are contiguous, images where
/// they are turned, else bands, of the whole batch. There are as many as keep a few dozen threads
/// busy.
inline int64_t depthwise_weight_chunks(const Conv2dShape& s, DepthwiseLanes lanes) {
  constexpr int64_t kMostChunks = 16, kEnough = 32, kLeastTerms = 512;
  const int64_t bands = depthwise_bands(forward_rows(s), forward_columns(s)).bands;
  const int64_t units = s.batch * (lanes == DepthwiseLanes::pixels     ? bands
                                   : lanes == DepthwiseLanes::channels ? s.out_h
                                                                       : 1);
  const int64_t wanted = ceil_div(kEnough, depthwise_weight_blocks(s, lanes));
  const int64_t by_terms = s.batch * s.out_h * s.out_w / kLeastTerms;
  int64_t chunks = wanted < kMostChunks ? wanted : kMostChunks;
  if (chunks > by_terms) chunks = by_terms;
  if (chunks > units) chunks = units;
  return chunks < 1 ? 1 : chunks;
}

/// Rows of grad_out that are read at a time, and their channels.
inline int64_t depthwise_weight_lines(const Conv2dShape& s, DepthwiseLanes lanes) {
  return lanes == DepthwiseLanes::pixels ? depthwise_bands(forward_rows(s), forward_columns(s)).rows
         : lanes == DepthwiseLanes::channels ? kDepthwiseGradRows
                                             : s.out_h;
}
inline int64_t depthwise_weight_channels(DepthwiseLanes lanes) {
  return lanes == DepthwiseLanes::pixels     ? 1
         : lanes == DepthwiseLanes::channels ? kDepthwiseBlock
                                             : kDepthwiseTurned;
}

/// Items of the weight gradient: (output channel or block of channels, chunk).
inline int64_t depthwise_weight_items(const Conv2dShape& s, int64_t chunks, DepthwiseLanes lanes) {
  return chunks * depthwise_weight_blocks(s, lanes);
}

template <class T>
int64_t depthwise_weight_scratch_bytes(const Conv2dShape& s, DepthwiseLanes lanes) {
  const DepthwiseBands bands = depthwise_bands(forward_rows(s), forward_columns(s));
  const int64_t taps = s.kernel_h * s.kernel_w;
  const int64_t planes = bands.source_size + bands.rows * round_up(s.out_w, kDepthwiseRounding) +
                         2 * taps * kDepthwiseRounding;
  const int64_t elements = lanes == DepthwiseLanes::pixels
                               ? planes
                               : (3 * taps + 1) * kDepthwiseBlock + depthwise_turned_size(s, lanes);
  return elements * int64_t(sizeof(Accumulator<T>)) + taps * kDepthwiseTapBytes;
}

}  // namespace torchconv
