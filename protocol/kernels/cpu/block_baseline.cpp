// The loops with the instructions that every CPU of this architecture has.
#include "block_ops.h"
#include "isa.h"
#include "opcodes.h"

namespace pinpoint {
namespace baseline {
#include "block_ops.inl"
}  // namespace baseline

const BlockOps kBaseline = PINPOINT_TABLE("baseline", baseline);

}  // namespace pinpoint
