// Matrix product tiles with AVX2 and FMA: 6 rows of 2 vectors, 12 accumulators.
#if defined(__x86_64__)
#include <immintrin.h>

#include <array>
#include <utility>

#include "node.h"
#include "tile_tables.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif

namespace pinpoint {
namespace {

using Vec = __m256;
constexpr int kLanes = 8;
constexpr int kRowStrip = 8;
constexpr int kRows = 6;
constexpr int kVectors = 2;

inline __m256i mask(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline Vec load(const float* from) {
  return _mm256_loadu_ps(from);
}
inline void store(float* to, Vec v) {
  _mm256_storeu_ps(to, v);
}
inline Vec load_part(const float* from, int n) {
  return _mm256_maskload_ps(from, mask(n));
}
inline void store_part(float* to, int n, Vec v) {
  _mm256_maskstore_ps(to, mask(n), v);
}
inline Vec splat(const float* from) {
  return _mm256_broadcast_ss(from);
}
inline Vec splat(uint32_t word) {
  return _mm256_castsi256_ps(_mm256_set1_epi32(static_cast<int>(word)));
}
inline Vec fused(Vec a, Vec b, Vec c) {
  return _mm256_fmadd_ps(a, b, c);
}
inline Vec canonical(Vec v) {
  return _mm256_blendv_ps(v, splat(kCanonicalNan), _mm256_cmp_ps(v, v, _CMP_UNORD_Q));
}

inline Vec evens(Vec low, Vec high) {
  const __m256d pairs = _mm256_castps_pd(_mm256_shuffle_ps(low, high, 0x88));
  return _mm256_castpd_ps(_mm256_permute4x64_pd(pairs, 0xd8));
}

inline void transpose(Vec (&r)[kLanes]) {
  Vec t[kLanes];
  for (int i = 0; i < kLanes; i += 2) {
    t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
  }
  for (int i = 0; i < kLanes; i += 4) {  // half p of r[i + q]: column 4p + q of four rows
    r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
    r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
    r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
    r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
  }
  for (int q = 0; q < 4; ++q) {
    t[q] = _mm256_permute2f128_ps(r[q], r[4 + q], 0x20);
    t[4 + q] = _mm256_permute2f128_ps(r[q], r[4 + q], 0x31);
  }
  for (int i = 0; i < kLanes; ++i) r[i] = t[i];
}

#include "tile.inl"

}  // namespace

const TileOps kAvx2Tiles = {"avx2",        kLanes,     kRowStrip,  kRows,     kVectors,
                            kTiles.data(), pack_lanes, pack_terms, copy_evens};

}  // namespace pinpoint

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
