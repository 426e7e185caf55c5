#include "parallel.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>

namespace pinpoint {
namespace {

struct Loop {
  void run() {
    for (size_t i = next.fetch_add(1); i < pieces; i = next.fetch_add(1)) work(i);
  }

  const size_t pieces;
  const std::function<void(size_t)>& work;
  std::atomic<size_t> next{0};
};

// Helpers that sleep between loops. A helper that wakes up too late finds no seat, so a short loop
// never waits for one.
class Helpers {
 public:
  explicit Helpers(pid_t process) : process(process) {}

  void share(Loop& loop, size_t wanted) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      hire(wanted);
      loop_ = &loop;
      seats_ = std::min(wanted, hired_);
    }
    wake_.notify_all();
    loop.run();
    std::unique_lock<std::mutex> lock(mutex_);
    seats_ = 0;
    done_.wait(lock, [this] { return seated_ == 0; });
  }

  const pid_t process;
  std::mutex busy;

 private:
  void hire(size_t wanted) {
    try {
      for (; hired_ < wanted; ++hired_) std::thread([this] { serve(); }).detach();
    } catch (const std::system_error&) {
      // Fewer threads, same result.
    }
  }

  void serve() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      wake_.wait(lock, [this] { return seats_ > 0; });
      --seats_;
      ++seated_;
      Loop* loop = loop_;
      lock.unlock();
      loop->run();
      lock.lock();
      if (--seated_ == 0) done_.notify_one();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_, done_;
  Loop* loop_ = nullptr;
  size_t hired_ = 0;
  size_t seats_ = 0;   // helpers that may still join the loop
  size_t seated_ = 0;  // helpers that are in it
};

// Threads do not survive fork(): a child hires its own, and leaves the parent's as they were.
// Helpers are never freed, as their threads run until the process ends.
Helpers& helpers() {
  static std::atomic<Helpers*> current{nullptr};
  const pid_t process = getpid();
  Helpers* found = current.load();
  while (found == nullptr || found->process != process) {
    auto* mine = new Helpers(process);
    if (current.compare_exchange_strong(found, mine)) return *mine;
    delete mine;
  }
  return *found;
}

}  // namespace

void for_each_piece(size_t pieces, size_t threads, const std::function<void(size_t)>& work) {
  Loop loop{pieces, work};
  const size_t wanted = std::min(threads, pieces);
  if (wanted > 1) {
    Helpers& shared = helpers();
    const std::unique_lock<std::mutex> lock(shared.busy, std::try_to_lock);
    if (lock.owns_lock()) {
      shared.share(loop, wanted - 1);
      return;
    }
  }
  loop.run();
}

}  // namespace pinpoint
