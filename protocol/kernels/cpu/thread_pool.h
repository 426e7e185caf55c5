// Runs numbered jobs on a fixed set of threads. Which thread runs a job never changes a bit of the
// result: jobs write disjoint outputs.
#pragma once

#include <cstdint>
#include <functional>

namespace pinpoint {

// Calls job(0) .. job(count-1), each once, on up to `threads` threads including the caller, with
// the specified floating-point mode. Rethrows the first exception of a job after all have stopped.
// Safe to call from several threads (the second caller then works alone) and after fork().
void parallel_for(int64_t count, int threads, const std::function<void(int64_t)>& job);

}  // namespace pinpoint
