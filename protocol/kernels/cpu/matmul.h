// Matrix products: acc = fma(a, b, acc), where a and b are loads that are always in bounds.
#pragma once

#include "block_ops.h"
#include "node.h"

namespace pinpoint {

// Computes the node if it is a matrix product worth a kernel (any batch, any strides, transposes
// included); false if it is not and nothing was done.
bool run_matmul(const Node& node, const void* const* operands, void* out, int threads,
                const BlockOps& ops);

}  // namespace pinpoint
