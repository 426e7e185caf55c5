// Matrix product tiles with the instructions that every CPU of this architecture has.
#include <array>
#include <cmath>
#include <cstring>
#include <utility>

#include "node.h"
#include "tile_tables.h"

namespace pinpoint {
namespace {

#include "fused.inl"

constexpr int kLanes = 4;
constexpr int kRowStrip = 4;
constexpr int kRows = 4;
constexpr int kVectors = 2;

struct Vec {
  float lane[kLanes];
};

inline Vec load_part(const float* from, int n) {
  Vec v{};
  for (int i = 0; i < n; ++i) v.lane[i] = from[i];
  return v;
}
inline void store_part(float* to, int n, Vec v) {
  for (int i = 0; i < n; ++i) to[i] = v.lane[i];
}
inline Vec load(const float* from) {
  return load_part(from, kLanes);
}
inline void store(float* to, Vec v) {
  store_part(to, kLanes, v);
}
inline Vec splat(const float* from) {
  Vec v;
  for (float& lane : v.lane) lane = *from;
  return v;
}
inline Vec splat(uint32_t word) {
  float value;
  std::memcpy(&value, &word, sizeof(value));
  return splat(&value);
}
inline Vec fused(Vec a, Vec b, Vec c) {
  for (int i = 0; i < kLanes; ++i) c.lane[i] = fused(a.lane[i], b.lane[i], c.lane[i]);
  return c;
}
inline Vec canonical(Vec v) {
  for (float& lane : v.lane) {
    if (std::isnan(lane)) std::memcpy(&lane, &kCanonicalNan, sizeof(lane));
  }
  return v;
}
inline Vec evens(Vec low, Vec high) {
  return {low.lane[0], low.lane[2], high.lane[0], high.lane[2]};
}
inline void transpose(Vec (&r)[kLanes]) {
  for (int i = 0; i < kLanes; ++i) {
    for (int j = 0; j < i; ++j) std::swap(r[i].lane[j], r[j].lane[i]);
  }
}

#include "tile.inl"

}  // namespace

const TileOps kBaselineTiles = {"baseline",    kLanes,     kRowStrip,  kRows,     kVectors,
                                kTiles.data(), pack_lanes, pack_terms, copy_evens};

}  // namespace pinpoint
