#include "thread_pool.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "float_mode.h"

namespace pinpoint {
namespace {

struct Batch {
  Batch(int64_t total, const std::function<void(int64_t)>& work) : count(total), job(work) {}

  void work() {
    FloatMode mode;
    for (int64_t i; (i = next.fetch_add(1)) < count;) {
      try {
        job(i);
      } catch (...) {
        std::lock_guard<std::mutex> lock(mutex);
        if (!error) error = std::current_exception();
        next.store(count);
      }
    }
  }

  const int64_t count;
  const std::function<void(int64_t)>& job;
  std::atomic<int64_t> next{0};
  std::mutex mutex;
  std::exception_ptr error;
};

class Pool {
 public:
  explicit Pool(pid_t owner) : owner(owner) {}

  void run(Batch& batch, int helpers) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      while (static_cast<int>(workers_.size()) < helpers) {
        int number = static_cast<int>(workers_.size());
        workers_.emplace_back([this, number] { loop(number); });
        workers_.back().detach();  // the pool lives until the process ends
      }
      batch_ = &batch;
      invited_ = helpers;
      running_ = helpers;
      ++generation_;
    }
    wake_.notify_all();
    batch.work();
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [this] { return running_ == 0; });
    batch_ = nullptr;
  }

  const pid_t owner;
  std::mutex busy;

 private:
  void loop(int number) {
    int64_t seen = 0;
    for (;;) {
      Batch* batch;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [&] { return generation_ != seen; });
        seen = generation_;
        if (number >= invited_) continue;
        batch = batch_;
      }
      batch->work();
      std::lock_guard<std::mutex> lock(mutex_);
      if (--running_ == 0) done_.notify_one();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable done_;
  std::vector<std::thread> workers_;
  Batch* batch_ = nullptr;
  int invited_ = 0;
  int running_ = 0;
  int64_t generation_ = 0;
};

// The threads do not survive fork(): a child gets a pool of its own (the parent's is left alone).
Pool& pool() {
  static std::mutex mutex;
  static Pool* current = nullptr;
  std::lock_guard<std::mutex> lock(mutex);
  if (current == nullptr || current->owner != getpid()) current = new Pool(getpid());
  return *current;
}

}  // namespace

void parallel_for(int64_t count, int threads, const std::function<void(int64_t)>& job) {
  Batch batch(count, job);
  int helpers = static_cast<int>(std::min<int64_t>(threads, count)) - 1;
  bool shared = false;
  if (helpers > 0) {
    Pool& workers = pool();
    std::unique_lock<std::mutex> lock(workers.busy, std::try_to_lock);
    shared = lock.owns_lock();
    if (shared) workers.run(batch, helpers);
  }
  if (!shared) batch.work();
  if (batch.error) std::rethrow_exception(batch.error);
}

}  // namespace pinpoint
