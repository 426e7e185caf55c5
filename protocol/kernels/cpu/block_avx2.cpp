// The loops with AVX2 and FMA: 8 lanes.
#include "isa.h"

#ifdef PINPOINT_X86
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
}  // namespace avx2

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

const BlockOps kAvx2 = PINPOINT_TABLE("avx2", avx2);

}  // namespace pinpoint
#endif
