// Matrix product tiles with AVX-512: 14 rows of 2 vectors, 28 accumulators.
#if defined(__x86_64__)
#include <immintrin.h>

#include <array>
#include <utility>

#include "node.h"
#include "tile_tables.h"

#if defined(__clang__)
#pragma clang attribute push( \
    __attribute__((target("avx2,fma,avx512f,avx512dq,avx512bw,avx512vl"))), apply_to = function)
#else
#pragma GCC push_options
// GCC 12 takes the undefined register inside its own shuffle intrinsics for a mistake.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC target("avx2,fma,avx512f,avx512dq,avx512bw,avx512vl,prefer-vector-width=512")
#endif

namespace pinpoint {
namespace {

using Vec = __m512;
constexpr int kLanes = 16;
constexpr int kRowStrip = 16;
constexpr int kRows = 14;
constexpr int kVectors = 2;

inline __mmask16 mask(int n) {
  return static_cast<__mmask16>((1u << n) - 1);
}
inline Vec load(const float* from) {
  return _mm512_loadu_ps(from);
}
inline void store(float* to, Vec v) {
  _mm512_storeu_ps(to, v);
}
inline Vec load_part(const float* from, int n) {
  return _mm512_maskz_loadu_ps(mask(n), from);
}
inline void store_part(float* to, int n, Vec v) {
  _mm512_mask_storeu_ps(to, mask(n), v);
}
inline Vec splat(const float* from) {
  return _mm512_set1_ps(*from);
}
inline Vec splat(uint32_t word) {
  return _mm512_castsi512_ps(_mm512_set1_epi32(static_cast<int>(word)));
}
inline Vec fused(Vec a, Vec b, Vec c) {
  return _mm512_fmadd_ps(a, b, c);
}
inline Vec canonical(Vec v) {
  return _mm512_mask_mov_ps(v, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), splat(kCanonicalNan));
}

inline Vec evens(Vec low, Vec high) {
  const __m512i lanes =
      _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  return _mm512_permutex2var_ps(low, lanes, high);
}

inline void transpose(Vec (&r)[kLanes]) {
  Vec t[kLanes];
  for (int i = 0; i < kLanes; i += 2) {
    t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
  }
  for (int i = 0; i < kLanes; i += 4) {  // quarter p of r[i + q]: column 4p + q of four rows
    r[i] = _mm512_shuffle_ps(t[i], t[i + 2], 0x44);
    r[i + 1] = _mm512_shuffle_ps(t[i], t[i + 2], 0xee);
    r[i + 2] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0x44);
    r[i + 3] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0xee);
  }
  for (int q = 0; q < 4; ++q) {
    t[q] = _mm512_shuffle_f32x4(r[q], r[4 + q], 0x88);
    t[4 + q] = _mm512_shuffle_f32x4(r[q], r[4 + q], 0xdd);
    t[8 + q] = _mm512_shuffle_f32x4(r[8 + q], r[12 + q], 0x88);
    t[12 + q] = _mm512_shuffle_f32x4(r[8 + q], r[12 + q], 0xdd);
  }
  for (int q = 0; q < 4; ++q) {
    r[q] = _mm512_shuffle_f32x4(t[q], t[8 + q], 0x88);
    r[4 + q] = _mm512_shuffle_f32x4(t[4 + q], t[12 + q], 0x88);
    r[8 + q] = _mm512_shuffle_f32x4(t[q], t[8 + q], 0xdd);
    r[12 + q] = _mm512_shuffle_f32x4(t[4 + q], t[12 + q], 0xdd);
  }
}

#include "tile.inl"

}  // namespace

const TileOps kAvx512Tiles = {"avx512",      kLanes,     kRowStrip,  kRows,     kVectors,
                              kTiles.data(), pack_lanes, pack_terms, copy_evens};

}  // namespace pinpoint

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
