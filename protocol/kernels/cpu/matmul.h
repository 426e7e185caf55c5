// Matrix products, plain or batched, and all that looks like one: convolutions and their gradients.
#pragma once

#include <memory>

#include "block_ops.h"
#include "kernel.h"
#include "node.h"

namespace pinpoint {

// A kernel for a fold whose body is fma(load, load, acc) and whose output coordinates each move one
// load only, both, or none; null if the node is nothing of that kind.
std::unique_ptr<Kernel> prepare_matmul(const Node& node, const BlockOps& ops,
                                       int64_t most_table_bytes);

}  // namespace pinpoint
