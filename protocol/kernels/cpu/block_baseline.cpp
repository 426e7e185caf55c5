// The loops with the instructions that every CPU of this architecture has.
#include "block_ops.h"
#include "isa.h"
#include "opcodes.h"

#if defined(__aarch64__) || defined(__FMA__)
#define PINPOINT_HAS_FMA 1
#else
#define PINPOINT_HAS_FMA 0
#endif

namespace pinpoint {
namespace baseline {
#include "block_ops.inl"

constexpr int kRows = 4;
constexpr int kColumns = 16;

void tile(const float* a, const float* b, float* c, int64_t c_stride, int64_t depth) {
  float sums[kRows][kColumns];
  for (int i = 0; i < kRows; ++i) {
    for (int j = 0; j < kColumns; ++j) sums[i][j] = c[i * c_stride + j];
  }
  for (int64_t k = 0; k < depth; ++k, a += kRows, b += kColumns) {
    for (int i = 0; i < kRows; ++i) {
      PINPOINT_IVDEP for (int j = 0; j < kColumns; ++j) {
        sums[i][j] = fused(a[i], b[j], sums[i][j]);
      }
    }
  }
  for (int i = 0; i < kRows; ++i) {
    for (int j = 0; j < kColumns; ++j) c[i * c_stride + j] = sums[i][j];
  }
}
}  // namespace baseline

const BlockOps kBaseline = PINPOINT_TABLE("baseline", baseline);

}  // namespace pinpoint
