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
}  // namespace baseline

const BlockOps kBaseline = PINPOINT_TABLE("baseline", baseline);

}  // namespace pinpoint
