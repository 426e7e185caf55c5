// The loops with AVX-512 (F, DQ, BW, VL): 16 lanes.
#include "isa.h"

#ifdef PINPOINT_X86
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
}  // namespace avx512

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

const BlockOps kAvx512 = PINPOINT_TABLE("avx512", avx512);

}  // namespace pinpoint
#endif
