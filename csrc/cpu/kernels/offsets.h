// Offsets of maxima in their windows, as integers beside lanes of T.

template <class T, class Offset>
inline Vec<Bits<T>> load_offsets(const Offset* p) {
  if constexpr (sizeof(Offset) == 1) {
    Vec<Bits<T>> offsets;
    load_bytes(p, &offsets);
    return offsets;
  } else {
    return load_as<Offset, Bits<T>>(p);
  }
}
template <class T, class Offset>
inline void store_offsets(Offset* p, Vec<Bits<T>> offsets) {
  if constexpr (sizeof(Offset) == 1) {
    store_bytes(p, &offsets);
  } else {
    store_as<Offset, Bits<T>>(p, offsets);
  }
}
// The lanes [from, to); others are zero, or stay as they are.
template <class T, class Offset>
inline Vec<Bits<T>> load_offsets(const Offset* p, int64_t from, int64_t to) {
  if (from == 0 && to >= kLanes<T>) return load_offsets<T>(p);
  Offset buffer[kLanes<T>];
  load_masked_raw(p, from, to, buffer);
  return load_offsets<T>(static_cast<const Offset*>(buffer));
}
template <class T, class Offset>
inline void store_offsets(Offset* p, Vec<Bits<T>> offsets, int64_t n) {
  if (n >= kLanes<T>) return store_offsets<T>(p, offsets);
  Offset buffer[kLanes<T>];
  store_offsets<T>(buffer, offsets);
  store_masked_raw(p, 0, n, buffer);
}

// The offset of a maximum that has no place, as relu makes those that are zero.
template <class Offset>
constexpr int kNowhere = sizeof(Offset) == 1 ? 255 : -1;
