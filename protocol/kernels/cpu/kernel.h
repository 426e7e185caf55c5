// A node made ready to run: everything that depends on the descriptor alone is worked out once.
#pragma once

#include <memory>

#include "block_ops.h"
#include "node.h"

namespace pinpoint {

class Kernel {
 public:
  virtual ~Kernel() = default;
  // Which way of computing was chosen: "matmul", "guarded", "terms", "outputs", "code", or
  // "switched", which asks first whether there is anything to compute.
  virtual const char* name() const = 0;
  // Memory that the kernel keeps beside the descriptor, about.
  virtual int64_t table_bytes() const { return 0; }
  // operands[i]: the first element of operand i; out: node.numel elements of node.dtype, apart from
  // all operands. May be called from several threads at once.
  virtual void run(const void* const* operands, void* out, int threads) const = 0;
};

}  // namespace pinpoint
