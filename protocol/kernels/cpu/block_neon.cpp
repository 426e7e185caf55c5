// The loops with NEON (64-bit Arm): 4 lanes, fma in hardware.
#include "isa.h"

#ifdef PINPOINT_ARM
#include <arm_neon.h>

#include "block_ops.h"
#include "opcodes.h"

#define PINPOINT_HAS_FMA 1

namespace pinpoint {
namespace neon {
#include "block_ops.inl"

constexpr int kRows = 8;
constexpr int kColumns = 8;
constexpr int kVectors = kColumns / 4;

// 8 x 8: 16 accumulators, 2 registers of b, broadcasts of a.
void tile(const float* a, const float* b, float* c, int64_t c_stride, int64_t depth) {
  float32x4_t sums[kRows][kVectors];
  for (int i = 0; i < kRows; ++i) {
    for (int j = 0; j < kVectors; ++j) sums[i][j] = vld1q_f32(c + i * c_stride + 4 * j);
  }
  for (int64_t k = 0; k < depth; ++k, a += kRows, b += kColumns) {
    float32x4_t columns[kVectors];
    for (int j = 0; j < kVectors; ++j) columns[j] = vld1q_f32(b + 4 * j);
    for (int i = 0; i < kRows; ++i) {
      for (int j = 0; j < kVectors; ++j) sums[i][j] = vfmaq_n_f32(sums[i][j], columns[j], a[i]);
    }
  }
  for (int i = 0; i < kRows; ++i) {
    for (int j = 0; j < kVectors; ++j) vst1q_f32(c + i * c_stride + 4 * j, sums[i][j]);
  }
}
}  // namespace neon

const BlockOps kNeon = PINPOINT_TABLE("neon", neon);

}  // namespace pinpoint
#endif
