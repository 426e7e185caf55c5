// The loops with NEON (64-bit Arm): 4 lanes, fma in hardware.
#include "isa.h"

#ifdef PINPOINT_ARM
#include "block_ops.h"
#include "opcodes.h"

#define PINPOINT_HAS_FMA 1

namespace pinpoint {
namespace neon {
#include "block_ops.inl"
}  // namespace neon

const BlockOps kNeon = PINPOINT_TABLE("neon", neon);

}  // namespace pinpoint
#endif
