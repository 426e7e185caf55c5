// Computes folds. The seam for speed: `run_node` first asks whether a specialised kernel recognises
// the node, else the generic block interpreter computes it; all give the bits of the specification.
#pragma once

#include <cstdint>

#include "block_ops.h"
#include "node.h"

namespace pinpoint {

// operands[i]: the first element of operand i, aligned to its width, node.operands[i].numel long.
// out: node.numel elements of node.dtype; must not overlap an operand.
// grain: instructions and loads below which one thread is used.
void run_node(const Node& node, const void* const* operands, void* out, int threads,
              int64_t grain, const BlockOps& ops);

// Rows of (accumulator after the term, words of all loads) for every term of one output element:
// node.terms * (1 + loads) words.
void fold_element(const Node& node, const void* const* operands, int64_t element, uint32_t* rows,
                  const BlockOps& ops);

}  // namespace pinpoint
