// Matrix products: acc = fma(a, b, acc), where a and b are loads that are always in bounds.
#pragma once

#include <memory>

#include "block_ops.h"
#include "kernel.h"
#include "node.h"

namespace pinpoint {

// The node as a matrix product (any batch, any strides, transposes included); null if it is none that
// is worth a kernel.
std::unique_ptr<Kernel> prepare_matmul(const Node& node, const BlockOps& ops);

}  // namespace pinpoint
