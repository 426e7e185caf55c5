// A loop over independent pieces of work on a fixed set of threads.
#pragma once

#include <cstddef>
#include <functional>

namespace pinpoint {

// Calls work(i) once for each i < pieces, on at most `threads` threads including the caller's.
// `work` must not throw. Where the system refuses another thread, those that exist do it all. Safe
// to call from several threads (while one has the helpers, the others work alone) and after fork().
void for_each_piece(size_t pieces, size_t threads, const std::function<void(size_t)>& work);

}  // namespace pinpoint
