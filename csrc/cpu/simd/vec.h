// Vectors of one register, written once for every instruction set on the compilers' vector
// extensions. Included inside an instruction set's namespace and target region, after its
// simd/<isa>.h has defined kVectorBytes and the conversions of f16; hence no include guard and no
// includes.
//
// Arithmetic, comparisons and `mask ? a : b` are the compilers' own operators. A mask is a vector
// of integers as wide as the lanes, all ones where true.

template <class T>
struct VecTraits {
  static constexpr int lanes = kVectorBytes / sizeof(T);
  typedef T type __attribute__((vector_size(kVectorBytes)));
};
template <class T>
using Vec = typename VecTraits<T>::type;
template <class T>
constexpr int kLanes = VecTraits<T>::lanes;

// The integer with the same number of bits as a type that kernels compute in.
template <class T>
struct BitsOf {
  using type = int32_t;
};
template <>
struct BitsOf<double> {
  using type = int64_t;
};
template <>
struct BitsOf<int64_t> {
  using type = int64_t;
};
template <class T>
using Bits = typename BitsOf<T>::type;

// As many elements of a narrower type as Vec<T> has lanes.
template <class T, class Narrow>
struct NarrowVec {
  typedef Narrow type __attribute__((vector_size(sizeof(Narrow) * kLanes<T>)));
  typedef Narrow unaligned
      __attribute__((vector_size(sizeof(Narrow) * kLanes<T>), aligned(alignof(Narrow)), may_alias));
};

template <class T>
inline Vec<T> broadcast(T value) {
  return value - Vec<T>{};  // not `+`: -0.0 + 0.0 is +0.0
}

// mask ? a : b for the integers beside lanes of T. With SSE2 alone, GCC 12 fails to compile that
// for 64 bits after some masks from comparing doubles.
template <class T>
inline Vec<Bits<T>> select(Vec<Bits<T>> mask, Vec<Bits<T>> a, Vec<Bits<T>> b) {
  if constexpr (kVectorBytes == 16 && sizeof(T) == 8) {
    Vec<Bits<T>> chosen;
    for (int i = 0; i < kLanes<T>; ++i) chosen[i] = mask[i] ? a[i] : b[i];
    return chosen;
  } else {
    return mask ? a : b;
  }
}

// ---- load: storage type in memory -> accumulator type in a register ----------------------------

template <class Narrow, class Wide>
inline Vec<Wide> load_as(const Narrow* p) {
  const typename NarrowVec<Wide, Narrow>::type v =
      *reinterpret_cast<const typename NarrowVec<Wide, Narrow>::unaligned*>(p);
  return __builtin_convertvector(v, Vec<Wide>);
}
template <class Narrow, class Wide>
inline void store_as(Narrow* p, Vec<Wide> v) {
  *reinterpret_cast<typename NarrowVec<Wide, Narrow>::unaligned*>(p) =
      __builtin_convertvector(v, typename NarrowVec<Wide, Narrow>::type);
}

// Bytes, which compilers widen one by one, where an instruction set has no better way.
template <class T, class V>
inline void load_bytes(const T* p, V* out) {
  *out = load_as<T, Bits<decltype(+(*out)[0])>>(p);
}
template <class T, class V>
inline void store_bytes(T* p, const V* v) {
  store_as<T, Bits<decltype(+(*v)[0])>>(p, *v);
}

// Whatever the compiler converts by itself: float, double and integers.
template <class T>
inline Vec<Accumulator<T>> load(const T* p) {
  if constexpr (sizeof(T) == 1) {
    Vec<Accumulator<T>> v;
    load_bytes(p, &v);
    return v;
  } else {
    return load_as<T, Accumulator<T>>(p);
  }
}

typedef uint16_t HalfVec __attribute__((vector_size(kVectorBytes / 2)));
typedef uint16_t HalfVecUnaligned
    __attribute__((vector_size(kVectorBytes / 2), aligned(2), may_alias));

inline Vec<float> load(const bf16* p) {
  const HalfVec half = *reinterpret_cast<const HalfVecUnaligned*>(p);
  return (Vec<float>)(__builtin_convertvector(half, Vec<uint32_t>) << 16);
}

// ---- store: rounds to nearest even, once -------------------------------------------------------

template <class T>
inline void store(T* p, Vec<Accumulator<T>> v) {
  if constexpr (sizeof(T) == 1) {
    store_bytes(p, &v);
  } else {
    store_as<T, Accumulator<T>>(p, v);
  }
}
inline void store(bf16* p, Vec<float> v) {
  const Vec<uint32_t> bits = (Vec<uint32_t>)v;
  const Vec<uint32_t> rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const Vec<uint32_t> quiet_nan = broadcast<uint32_t>(0x7fc0);
  const Vec<uint32_t> half = v != v ? quiet_nan : rounded;
  *reinterpret_cast<HalfVecUnaligned*>(p) = __builtin_convertvector(half, HalfVec);
}

inline Vec<float> load(const f16* p) {
  Vec<float> v;
  load_f16(p, &v);
  return v;
}
inline void store(f16* p, Vec<float> v) { store_f16(p, &v); }

// Stores that pass the caches by, of lanes that need no conversion.
template <class T>
inline bool streams(const T* p, bool past_caches) {
  return past_caches && sizeof(T) == sizeof(Accumulator<T>) &&
         reinterpret_cast<uintptr_t>(p) % kVectorBytes == 0;
}
struct Stream {
  template <class T>
  static void put(T* p, Vec<Accumulator<T>> v) {
    if constexpr (sizeof(T) == sizeof(Accumulator<T>)) store_streaming(p, &v);
  }
};
struct Store {
  template <class T>
  static void put(T* p, Vec<Accumulator<T>> v) {
    store(p, v);
  }
};

// ---- one element -------------------------------------------------------------------------------

template <class T>
inline Accumulator<T> widen(T x) {
  return x;
}
inline float widen(bf16 x) {
  union {
    uint32_t bits;
    float value;
  } wide = {uint32_t(x.bits) << 16};
  return wide.value;
}
inline float widen(f16 x) { return f16_to_float(x.bits); }

template <class T>
inline void narrow(Accumulator<T> x, T* out) {
  *out = T(x);
}
inline void narrow(float x, bf16* out) {
  union {
    float value;
    uint32_t bits;
  } in = {x};
  out->bits = x != x ? 0x7fc0 : (in.bits + 0x7fff + ((in.bits >> 16) & 1)) >> 16;
}
inline void narrow(float x, f16* out) { out->bits = float_to_f16(x); }

// ---- the lanes [from, to); loading fills up with zeros -----------------------------------------

// Elements that are not loaded by masked instructions of their own go through a buffer.
template <class T, int n>
inline void load_masked_raw(const T* p, int64_t from, int64_t to, T (&buffer)[n]) {
  for (T& element : buffer) element = T{};
  for (int64_t i = from; i < to; ++i) buffer[i] = p[i];
}
template <class T, int n>
inline void store_masked_raw(T* p, int64_t from, int64_t to, const T (&buffer)[n]) {
  for (int64_t i = from; i < to; ++i) p[i] = buffer[i];
}

template <class T>
inline Vec<Accumulator<T>> load_between(const T* p, int64_t from, int64_t to) {
  T buffer[kLanes<Accumulator<T>>];
  load_masked_raw(p, from, to, buffer);
  return load(buffer);
}
template <class T>
inline void store_between(T* p, Vec<Accumulator<T>> v, int64_t from, int64_t to) {
  T buffer[kLanes<Accumulator<T>>];
  store(buffer, v);
  store_masked_raw(p, from, to, buffer);
}
inline Vec<float> load_between(const float* p, int64_t from, int64_t to) {
  Vec<float> v;
  load_masked(p, from, to, &v);
  return v;
}
inline Vec<double> load_between(const double* p, int64_t from, int64_t to) {
  Vec<double> v;
  load_masked(p, from, to, &v);
  return v;
}
inline void store_between(float* p, Vec<float> v, int64_t from, int64_t to) {
  store_masked(p, from, to, &v);
}
inline void store_between(double* p, Vec<double> v, int64_t from, int64_t to) {
  store_masked(p, from, to, &v);
}

// Those lanes as a mask, which is cut out of lanes that are off, on and off again.
template <class T>
struct LanesOffOnOff {
  Bits<T> lane[3 * kLanes<T>] = {};
  constexpr LanesOffOnOff() {
    for (int i = kLanes<T>; i < 2 * kLanes<T>; ++i) lane[i] = -1;
  }
};
template <class T>
constexpr LanesOffOnOff<T> kLanesOffOnOff;
template <class T>
inline Vec<Bits<T>> lanes_between(int64_t from, int64_t to) {
  const Bits<T>* lanes = kLanesOffOnOff<T>.lane;
  return load(lanes + kLanes<T> - from) & load(lanes + 2 * kLanes<T> - to);
}
// The same as load_between, but for what other lanes are filled with.
template <class T>
inline Vec<Accumulator<T>> load_between(const T* p, int64_t from, int64_t to,
                                        Vec<Accumulator<T>> others) {
  using Acc = Accumulator<T>;
  using Raw = Vec<Bits<Acc>>;
  const Raw there = lanes_between<Acc>(from, to);
  return (Vec<Acc>)(((Raw)load_between(p, from, to) & there) | ((Raw)others & ~there));
}

// The first n lanes, 0 <= n < kLanes.
template <class T>
inline Vec<Accumulator<T>> load_first(const T* p, int64_t n) {
  return load_between(p, 0, n);
}
template <class T>
inline void store_first(T* p, Vec<Accumulator<T>> v, int64_t n) {
  store_between(p, v, 0, n);
}

// Of all lanes.
template <class V, class T>
inline bool any_nan(const V* v, T) {
  for (int i = 0; i < kLanes<T>; ++i) {
    if ((*v)[i] != (*v)[i]) return true;
  }
  return false;
}

// One bit for each lane of a mask beside lanes of T, where an instruction set has no better way.
template <class V, class T>
inline unsigned lane_bits(const V* mask, T) {
  unsigned bits = 0;
  for (int i = 0; i < kLanes<T>; ++i) bits |= unsigned((*mask)[i] & 1) << i;
  return bits;
}

// All lanes if there are n >= kLanes elements, else the first n.
template <class T>
inline Vec<Accumulator<T>> load_lanes(const T* p, int64_t n) {
  return n >= kLanes<Accumulator<T>> ? load(p) : load_first(p, n);
}
template <class T>
inline void store_lanes(T* p, Vec<Accumulator<T>> v, int64_t n) {
  n >= kLanes<Accumulator<T>> ? store(p, v) : store_first(p, v, n);
}
