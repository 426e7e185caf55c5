// Matrix product tiles with NEON: 8 rows of 3 vectors, 24 accumulators.
#if defined(__aarch64__)
#include <arm_neon.h>

#include <array>
#include <utility>

#include "node.h"
#include "tile_tables.h"

namespace pinpoint {
namespace {

using Vec = float32x4_t;
constexpr int kLanes = 4;
constexpr int kRowStrip = 8;
constexpr int kRows = 8;
constexpr int kVectors = 3;

inline Vec load(const float* from) {
  return vld1q_f32(from);
}
inline void store(float* to, Vec v) {
  vst1q_f32(to, v);
}
inline Vec load_part(const float* from, int n) {
  float lane[kLanes] = {};
  for (int i = 0; i < n; ++i) lane[i] = from[i];
  return load(lane);
}
inline void store_part(float* to, int n, Vec v) {
  float lane[kLanes];
  store(lane, v);
  for (int i = 0; i < n; ++i) to[i] = lane[i];
}
inline Vec splat(const float* from) {
  return vld1q_dup_f32(from);
}
inline Vec splat(uint32_t word) {
  return vreinterpretq_f32_u32(vdupq_n_u32(word));
}
inline Vec fused(Vec a, Vec b, Vec c) {
  return vfmaq_f32(c, a, b);
}
inline Vec canonical(Vec v) {
  return vbslq_f32(vceqq_f32(v, v), v, splat(kCanonicalNan));
}

inline Vec evens(Vec low, Vec high) {
  return vuzp1q_f32(low, high);
}

inline void transpose(Vec (&r)[kLanes]) {
  const Vec t[kLanes] = {vtrn1q_f32(r[0], r[1]), vtrn2q_f32(r[0], r[1]), vtrn1q_f32(r[2], r[3]),
                         vtrn2q_f32(r[2], r[3])};
  r[0] = vcombine_f32(vget_low_f32(t[0]), vget_low_f32(t[2]));
  r[1] = vcombine_f32(vget_low_f32(t[1]), vget_low_f32(t[3]));
  r[2] = vcombine_f32(vget_high_f32(t[0]), vget_high_f32(t[2]));
  r[3] = vcombine_f32(vget_high_f32(t[1]), vget_high_f32(t[3]));
}

#include "tile.inl"

}  // namespace

const TileOps kNeonTiles = {"neon",        kLanes,     kRowStrip,  kRows,     kVectors,
                            kTiles.data(), pack_lanes, pack_terms, copy_evens};

}  // namespace pinpoint
#endif
