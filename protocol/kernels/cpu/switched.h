// Folds that are skipped as a whole or not at all: initial weights, which only one step draws.
#pragma once

#include <memory>

#include "block_ops.h"
#include "kernel.h"
#include "node.h"

namespace pinpoint {

// `kernel`, or a kernel that first looks whether the terms are skipped: then every element is the
// stored init, and `kernel` does not run. So it is if no guard and no skip load of the node depends
// on where the output is or on the term.
std::unique_ptr<Kernel> prepare_switched(const Node& node, const BlockOps& ops,
                                         std::unique_ptr<Kernel> kernel);

}  // namespace pinpoint
