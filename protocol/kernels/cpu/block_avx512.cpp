// The loops with AVX-512 (F, DQ, BW, VL): 16 lanes.
#include "isa.h"

#ifdef PINPOINT_X86
#include <immintrin.h>

#include "block_ops.h"
#include "opcodes.h"

#define PINPOINT_HAS_FMA 1

#if defined(__clang__)
#pragma clang attribute push( \
    __attribute__((target("avx2,fma,avx512f,avx512dq,avx512bw,avx512vl"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,avx512f,avx512dq,avx512bw,avx512vl,prefer-vector-width=512")
#endif

namespace pinpoint {
namespace avx512 {
#include "block_ops.inl"

constexpr int kRows = 12;
constexpr int kColumns = 32;

// 12 x 32: 24 accumulators, 2 registers of b, broadcasts of a from memory.
void tile(const float* a, const float* b, float* c, int64_t c_stride, int64_t depth) {
  __m512 sums[kRows][2];
  for (int i = 0; i < kRows; ++i) {
    sums[i][0] = _mm512_loadu_ps(c + i * c_stride);
    sums[i][1] = _mm512_loadu_ps(c + i * c_stride + 16);
  }
  for (int64_t k = 0; k < depth; ++k, a += kRows, b += kColumns) {
    __m512 left = _mm512_loadu_ps(b);
    __m512 right = _mm512_loadu_ps(b + 16);
    for (int i = 0; i < kRows; ++i) {
      __m512 scalar = _mm512_set1_ps(a[i]);
      sums[i][0] = _mm512_fmadd_ps(scalar, left, sums[i][0]);
      sums[i][1] = _mm512_fmadd_ps(scalar, right, sums[i][1]);
    }
  }
  for (int i = 0; i < kRows; ++i) {
    _mm512_storeu_ps(c + i * c_stride, sums[i][0]);
    _mm512_storeu_ps(c + i * c_stride + 16, sums[i][1]);
  }
}
}  // namespace avx512

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

const BlockOps kAvx512 = PINPOINT_TABLE("avx512", avx512);

}  // namespace pinpoint
#endif
