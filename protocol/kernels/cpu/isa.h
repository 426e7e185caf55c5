// What the block_*.cpp files share: the tables' names and the pragmas that differ by compiler.
#pragma once

#include "block_ops.h"

#if defined(__FAST_MATH__) || defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__)
#error "results are compared bit for bit: build without fast-math"
#endif

#if defined(__clang__)
#define PINPOINT_IVDEP _Pragma("clang loop vectorize(assume_safety)")
#else
#define PINPOINT_IVDEP _Pragma("GCC ivdep")
#endif

#if defined(__x86_64__)
#define PINPOINT_X86 1
#elif defined(__aarch64__)
#define PINPOINT_ARM 1
#endif

#define PINPOINT_TABLE(name, isa)                                     \
  {name,          isa::run,          isa::chain,          isa::blend, \
   isa::gather,   isa::gather_u8,    isa::gather_strided, isa::count, \
   isa::add_word, isa::shift,        isa::check_axis,     isa::pick,  \
   isa::pick_u8,  isa::canonicalise, isa::narrow_u8}

namespace pinpoint {

extern const BlockOps kBaseline;
#ifdef PINPOINT_X86
extern const BlockOps kAvx2;
extern const BlockOps kAvx512;
#endif
#ifdef PINPOINT_ARM
extern const BlockOps kNeon;
#endif

}  // namespace pinpoint
