// A loop over independent pieces of work on a few threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <system_error>
#include <thread>
#include <vector>

namespace pinpoint {

// Calls work(i) once for each i < pieces, on at most `threads` threads including the caller's.
// `work` must not throw. Where the system refuses another thread, those that exist do it all.
template <class Work>
void for_each_piece(size_t pieces, size_t threads, const Work& work) {
  std::atomic<size_t> next{0};
  const auto run = [&] {
    for (size_t i = next.fetch_add(1); i < pieces; i = next.fetch_add(1)) work(i);
  };
  std::vector<std::thread> helpers;
  const size_t wanted = std::min(threads, pieces);
  helpers.reserve(wanted);
  try {
    while (helpers.size() + 1 < wanted) helpers.emplace_back(run);
  } catch (const std::system_error&) {
    // Fewer threads, same result.
  }
  run();
  for (std::thread& helper : helpers) helper.join();
}

}  // namespace pinpoint
