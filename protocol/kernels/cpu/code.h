// Machine code that was made elsewhere, and the memory that it works in.
#pragma once

#include <cstdint>
#include <memory>

#include "kernel.h"
#include "node.h"

namespace pinpoint {

// Computes units [begin, end) of a region of nodes. `scratch` belongs to the thread and is aligned
// to 64 bytes; buffers are whole tensors.
using Code = void (*)(void* const* buffers, void* scratch, int64_t begin, int64_t end);

constexpr int kMaxStageBuffers = 256;

struct Work {
  Code code;
  int64_t units;
  int64_t grain;    // units worth a thread's while
  int64_t granule;  // ranges begin at multiples of it
  int64_t scratch_bytes;
};

// Throws std::invalid_argument unless the numbers make sense.
void check(const Work& work);

// At least `bytes` of scratch memory of the calling thread, kept for its next call.
void* thread_scratch(int64_t bytes);

// One node by machine code: its buffers are the operands, then the output.
std::unique_ptr<Kernel> prepare_code(const Node& node, const Work& work);

}  // namespace pinpoint
