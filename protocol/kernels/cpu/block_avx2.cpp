// The loops with AVX2 and FMA: 8 lanes.
#include "isa.h"

#ifdef PINPOINT_X86
#include <immintrin.h>

#include "block_ops.h"
#include "opcodes.h"

#define PINPOINT_HAS_FMA 1

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif

namespace pinpoint {
namespace avx2 {
#include "block_ops.inl"

constexpr int kRows = 6;
constexpr int kColumns = 16;

// 6 x 16: 12 accumulators, 2 registers of b, 1 broadcast of a.
void tile(const float* a, const float* b, float* c, int64_t c_stride, int64_t depth) {
  __m256 sums[kRows][2];
  for (int i = 0; i < kRows; ++i) {
    sums[i][0] = _mm256_loadu_ps(c + i * c_stride);
    sums[i][1] = _mm256_loadu_ps(c + i * c_stride + 8);
  }
  for (int64_t k = 0; k < depth; ++k, a += kRows, b += kColumns) {
    __m256 left = _mm256_loadu_ps(b);
    __m256 right = _mm256_loadu_ps(b + 8);
    for (int i = 0; i < kRows; ++i) {
      __m256 scalar = _mm256_broadcast_ss(a + i);
      sums[i][0] = _mm256_fmadd_ps(scalar, left, sums[i][0]);
      sums[i][1] = _mm256_fmadd_ps(scalar, right, sums[i][1]);
    }
  }
  for (int i = 0; i < kRows; ++i) {
    _mm256_storeu_ps(c + i * c_stride, sums[i][0]);
    _mm256_storeu_ps(c + i * c_stride + 8, sums[i][1]);
  }
}
}  // namespace avx2

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

const BlockOps kAvx2 = PINPOINT_TABLE("avx2", avx2);

}  // namespace pinpoint
#endif
