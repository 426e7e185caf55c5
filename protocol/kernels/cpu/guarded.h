// Folds whose guards pin output coordinates: gradients of embeddings, scatters.
#pragma once

#include <memory>

#include "block_ops.h"
#include "kernel.h"
#include "node.h"

namespace pinpoint {

// Stores n accumulators as elements first .. first+n-1 of the output.
void store(DType dtype, void* out, int64_t first, const uint32_t* words, int64_t n,
           const BlockOps& ops);

// The node in one pass over its terms, if its guards allow it (the guard words do not depend on the
// output coordinates); null if it is not of that kind.
std::unique_ptr<Kernel> prepare_guarded(const Node& node, const BlockOps& ops);

}  // namespace pinpoint
