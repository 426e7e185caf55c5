// Computes folds. The seam for speed: `prepare` first asks whether a specialised kernel recognises
// the node, else the generic block interpreter computes it; all give the bits of the specification.
#pragma once

#include <cstdint>
#include <memory>

#include "block_ops.h"
#include "kernel.h"
#include "node.h"

namespace pinpoint {

// The node, made ready to run on this instruction set; it must outlive the kernel.
// grain: instructions and loads below which one thread is used.
// most_table_bytes: a specialised kernel that would keep more is not used.
std::unique_ptr<Kernel> prepare(const Node& node, const BlockOps& ops, int64_t grain,
                                int64_t most_table_bytes = INT64_MAX);

// Prepares the node and runs it. out must not overlap an operand.
inline void run_node(const Node& node, const void* const* operands, void* out, int threads,
                     int64_t grain, const BlockOps& ops) {
  prepare(node, ops, grain)->run(operands, out, threads);
}

// Rows of (accumulator after the term, words of all loads) for every term of one output element:
// node.terms * (1 + loads) words.
void fold_element(const Node& node, const void* const* operands, int64_t element, uint32_t* rows,
                  const BlockOps& ops);

}  // namespace pinpoint
