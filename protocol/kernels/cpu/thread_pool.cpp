#include "thread_pool.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

#include "float_mode.h"

namespace pinpoint {
namespace {

// A training step is hundreds of batches a few microseconds apart, and waking a sleeper takes tens:
// an idle worker looks for the next batch for this long before it sleeps.
constexpr std::chrono::microseconds kSpin{150};

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

struct Batch {
  Batch(int64_t total, const std::function<void(int64_t)>& work) : count(total), job(work) {}

  void work() {
    FloatMode mode;
    for (int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < count;) {
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

// `word_` says which batch is on and who is in it: generation * 2^32 + closed * 2^31 + workers. A
// worker enters only a batch that is still open, so the caller never waits for one that sleeps, and
// a batch lives until the last worker has left it.
class Pool {
 public:
  explicit Pool(pid_t owner)
      : owner(owner), spin_(std::max(1u, std::thread::hardware_concurrency())) {}

  void run(Batch& batch, int helpers) {
    hire(helpers);
    batch_.store(&batch, std::memory_order_relaxed);
    invited_.store(helpers, std::memory_order_relaxed);
    word_.store(((word_.load(std::memory_order_relaxed) >> 32) + 1) << 32);
    if (sleepers_.load() > 0) {
      std::lock_guard<std::mutex> lock(mutex_);
      wake_.notify_all();
    }
    batch.work();
    word_.fetch_or(kClosed);
    for (int round = 0; (word_.load() & kWorkers) != 0; ++round) {
      if (round < 4096) {
        pause();
      } else {
        std::this_thread::yield();  // the worker was descheduled within its last job
      }
    }
  }

  const pid_t owner;
  std::mutex busy;

 private:
  static constexpr uint64_t kClosed = uint64_t{1} << 31;
  static constexpr uint64_t kWorkers = kClosed - 1;

  void hire(int helpers) {
    while (workers_ < helpers) {
      const int number = workers_++;
      // Detached: the pool lives until the process ends.
      std::thread([this, number] { loop(number); }).detach();
    }
  }

  // Waits for a generation that is not `seen`, first spinning, then asleep.
  uint64_t next_generation(uint64_t seen) {
    // More threads than processors would spin in each other's way.
    const bool spins = workers_ < static_cast<int>(spin_);
    const auto until = std::chrono::steady_clock::now() + kSpin;
    while (spins) {
      for (int round = 0; round < 64; ++round) {
        const uint64_t generation = word_.load(std::memory_order_acquire) >> 32;
        if (generation != seen) return generation;
        pause();
      }
      if (std::chrono::steady_clock::now() > until) break;
    }
    std::unique_lock<std::mutex> lock(mutex_);
    sleepers_.fetch_add(1);
    wake_.wait(lock, [&] { return word_.load() >> 32 != seen; });
    sleepers_.fetch_sub(1);
    return word_.load() >> 32;
  }

  bool enter(uint64_t generation) {
    uint64_t word = word_.load();
    while (word >> 32 == generation && (word & kClosed) == 0) {
      if (word_.compare_exchange_weak(word, word + 1)) return true;
    }
    return false;
  }

  void loop(int number) {
    uint64_t seen = 0;
    for (;;) {
      seen = next_generation(seen);
      if (!enter(seen)) continue;
      if (number < invited_.load(std::memory_order_relaxed)) batch_.load()->work();
      word_.fetch_sub(1);
    }
  }

  const unsigned spin_;
  std::atomic<int> workers_{0};
  std::atomic<uint64_t> word_{0};
  std::atomic<Batch*> batch_{nullptr};
  std::atomic<int> invited_{0};
  std::atomic<int> sleepers_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
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
