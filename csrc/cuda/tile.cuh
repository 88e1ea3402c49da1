// Parts of operands in shared memory. A tile has so many indices of an operand, for 64 bytes of
// terms, in chunks of 16 bytes; lines of chunks run along the sum or along the index, as neighbours
// lie in memory. Chunks of a line are permuted (by an exclusive or) such that eight of them that a
// warp reads at once lie in different banks: the same chunk of eight lines, whichever way it reads.
#pragma once

#include "cuda/operand.cuh"
#include "cuda/warp.cuh"

namespace torchconv::cuda {

constexpr int kChunkBytes = 16, kTermBytes = 64;

template <class T, int extent_, bool along_sum>
struct Tile {
  static constexpr int kExtent = extent_;
  static constexpr bool kAlongSum = along_sum;
  static constexpr int kVector = kChunkBytes / sizeof(T);  // elements of a chunk
  static constexpr int kTerms = kTermBytes / sizeof(T);
  static constexpr int kLines = along_sum ? kExtent : kTerms;
  static constexpr int kChunks = (along_sum ? kTerms : kExtent) / kVector;  // of a line
  static constexpr int kBytes = kExtent * kTermBytes;

  /// Where a chunk lies, as a number of bytes.
  TORCHCONV_ANYWHERE static int at(int line, int chunk) {
    return (line * kChunks + (chunk ^ swizzle(line))) * kChunkBytes;
  }

  /// The same for a chunk of indices: `first + lane` of them for a tile along the sum, of which
  /// each line is one, else their chunk. `first` is a multiple of 8, and `block`, which is known to
  /// the compiler, too: what depends on the lane is computed once for all blocks.
  TORCHCONV_ANYWHERE static int at_index(int first, int block, int lane, int chunk) {
    return (first + block) * kChunks * kChunkBytes + at(lane, chunk);
  }
  TORCHCONV_ANYWHERE static int at_term(int line, int first, int block, int chunk) {
    const int of_lane = (first / kVector + chunk) ^ swizzle(line);
    return (line * kChunks + (of_lane ^ block / kVector)) * kChunkBytes;
  }

  /// An element, by its term and its index `first + block + lane`, of which `lane` is below 8.
  TORCHCONV_ANYWHERE static T element(const char* tile, int first, int block, int lane, int term) {
    const int along = along_sum ? term : lane;
    const int chunk = along_sum ? at_index(first, block, lane, term / kVector)
                                : at_term(term, first, block, lane / kVector);
    return *reinterpret_cast<const T*>(tile + chunk + along % kVector * int(sizeof(T)));
  }

 private:
  TORCHCONV_ANYWHERE static int swizzle(int line) {
    if constexpr (sizeof(T) == 8) {  // 16 lanes read at once, in pairs: four lines
      return along_sum ? line / 2 % 2 * 2 : line % 4 * 2;
    } else if constexpr (along_sum) {  // two lines make up all banks
      return line / 2 % 4;
    } else {
      return sizeof(T) == 2 ? line % 8 : line % 4 * 2;
    }
  }
};

/// One thread's part in filling tiles: it has one column of chunks, and every so many lines.
/// `elements` says whether it also knows operands without vectors.
template <class T, class Tile, int threads, bool elements>
class Loader {
 public:
  TORCHCONV_ANYWHERE Loader(const Operand<T>& operand, int64_t offset, int first, int thread)
      : operand_(operand),
        data_(operand.data + offset),
        line_(thread / Tile::kChunks),
        chunk_(thread % Tile::kChunks),
        first_(first) {
#pragma unroll
    for (int i = 0; i < kOuter; ++i) {
      const int index = first + (Tile::kAlongSum ? line(i) : chunk_ * kVector + i);
      outer_[i] = {0, kOutside, kOutside};
      if (index < operand.outer.extent()) outer_[i] = operand.outer(index);
    }
    if constexpr (elements && !Tile::kAlongSum) run_ = are_run(outer_);
  }

  /// Begins to load so many terms, or a whole tile of them; `places` says where each leads to.
  TORCHCONV_ANYWHERE void fetch(char* tile, const Place* places, int terms) {
    if constexpr (elements) {
      if (!operand_.vectors) return fetch_elements(tile, places);
    }
    fetch_vectors(tile, places, terms);
  }

  /// Puts what came into registers into the tile.
  TORCHCONV_ANYWHERE void store(char* tile) {
    if constexpr (elements && sizeof(T) == 2) {
      if (operand_.vectors) return;
#pragma unroll
      for (int pass = 0; pass < kPasses; ++pass) {
        uint32_t words[4];
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          words[i] = uint32_t(fetched_[pass][2 * i]) | uint32_t(fetched_[pass][2 * i + 1]) << 16;
        }
        auto* const chunk = reinterpret_cast<Chunk*>(tile + Tile::at(line(pass), chunk_));
        *chunk = {{words[0], words[1], words[2], words[3]}};
      }
    }
  }

 private:
  static constexpr int kVector = Tile::kVector;
  static constexpr int kPasses = Tile::kLines * Tile::kChunks / threads;
  static constexpr int kOuter = Tile::kAlongSum ? kPasses : elements ? kVector : 1;
  static_assert(threads % Tile::kChunks == 0 && Tile::kLines % (threads / Tile::kChunks) == 0);

  struct [[gnu::may_alias]] alignas(16) Chunk {
    uint32_t words[4];
  };

  const Operand<T>& operand_;
  const T* data_;
  int line_, chunk_, first_;
  Place outer_[kOuter];
  bool run_ = false;  // whether the places of a chunk are one
  uint16_t fetched_[elements && sizeof(T) == 2 ? kPasses : 1][kVector];

  TORCHCONV_ANYWHERE int line(int pass) const { return line_ + pass * (threads / Tile::kChunks); }

  /// In one load of 16 bytes.
  TORCHCONV_ANYWHERE static Place load(const Place* place) {
    const Chunk words = *reinterpret_cast<const Chunk*>(place);
    return {int64_t(uint64_t(words.words[1]) << 32 | words.words[0]), int32_t(words.words[2]),
            int32_t(words.words[3])};
  }

  TORCHCONV_ANYWHERE void fetch_vectors(char* tile, const Place* places, int terms) {
    const int along = chunk_ * kVector;
    const int left = (Tile::kAlongSum ? terms : operand_.outer.extent() - first_) - along;
    Place term{};
    if constexpr (Tile::kAlongSum) term = load(places + along);
    const auto copy = [&](const auto& begin) {
#pragma unroll
      for (int pass = 0; pass < kPasses; ++pass) {
        if constexpr (!Tile::kAlongSum) term = load(places + line(pass));
        const Place place = outer_[Tile::kAlongSum ? pass : 0] + term;
        // Nothing is read from an address outside.
        begin(operand_.inside(place), tile + Tile::at(line(pass), chunk_), data_ + place.offset);
      }
    };
    if (left >= kVector) {
      copy([](bool inside, void* to, const T* from) { copy_async_if(inside, to, from); });
    } else {
      const int bytes = left * int(sizeof(T));  // below zero: all of it is outside
      copy([&](bool inside, void* to, const T* from) {
        copy_async<kChunkBytes>(to, from, inside ? bytes : 0);
      });
    }
  }

  TORCHCONV_ANYWHERE void fetch_elements(char* tile, const Place* places) {
    constexpr int kLoaded = Tile::kAlongSum ? kVector : kPasses;
    Place terms[kLoaded];
#pragma unroll
    for (int i = 0; i < kLoaded; ++i) {
      terms[i] = load(places + (Tile::kAlongSum ? chunk_ * kVector + i : line(i)));
    }
    bool run = run_;
    if constexpr (Tile::kAlongSum) run = are_run(terms);
#pragma unroll
    for (int pass = 0; pass < kPasses; ++pass) {
      const Place first = outer_[Tile::kAlongSum ? pass : 0] + terms[Tile::kAlongSum ? 0 : pass];
      if (run) {  // of one row: one comparison for each element
        const bool row_inside = uint32_t(first.row) < uint32_t(operand_.height);
        const T* const from = data_ + first.offset;
#pragma unroll
        for (int i = 0; i < kVector; ++i) {
          const int32_t column = first.column + i * column_step();
          element(tile, pass, i, from + i,
                  row_inside && uint32_t(column) < uint32_t(operand_.width));
        }
      } else {
#pragma unroll
        for (int i = 0; i < kVector; ++i) {
          const Place place =
              outer_[Tile::kAlongSum ? pass : i] + terms[Tile::kAlongSum ? i : pass];
          element(tile, pass, i, data_ + place.offset, operand_.inside(place));
        }
      }
    }
  }

  TORCHCONV_ANYWHERE void element(char* tile, int pass, int i, const T* from, bool inside) {
    if constexpr (sizeof(T) == 2) {
      fetched_[pass][i] = inside ? from->bits : uint16_t(0);
    } else {
      copy_async<int(sizeof(T))>(tile + Tile::at(line(pass), chunk_) + i * int(sizeof(T)), from,
                                 inside ? int(sizeof(T)) : 0);
    }
  }

  /// From a neighbour to the next in a row of an image; nothing where there are no bounds.
  TORCHCONV_ANYWHERE int32_t column_step() const { return operand_.width == 1 ? 0 : 1; }

  /// Whether these follow each other in memory, and in a row.
  TORCHCONV_ANYWHERE bool are_run(const Place (&places)[kVector]) const {
    bool run = true;
#pragma unroll
    for (int i = 1; i < kVector; ++i) {
      run = run && places[i].offset == places[0].offset + i && places[i].row == places[0].row &&
            places[i].column == places[0].column + i * column_step();
    }
    return run;
  }
};

}  // namespace torchconv::cuda
