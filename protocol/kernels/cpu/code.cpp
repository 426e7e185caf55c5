#include "code.h"

#include <algorithm>
#include <cstdlib>
#include <new>
#include <stdexcept>

#include "thread_pool.h"

namespace pinpoint {
namespace {

constexpr int64_t kJobsPerThread = 4;  // so that a thread that is held up holds up little

class Scratch {
 public:
  ~Scratch() { std::free(memory_); }

  void* reserve(int64_t bytes) {
    if (bytes > size_) {
      std::free(memory_);
      size_ = 0;
      const int64_t whole = (bytes + 4095) / 4096 * 4096;
      memory_ = std::aligned_alloc(64, static_cast<size_t>(whole));
      if (memory_ == nullptr) throw std::bad_alloc();
      size_ = whole;
    }
    return memory_;
  }

 private:
  void* memory_ = nullptr;
  int64_t size_ = 0;
};

class CodeKernel : public Kernel {
 public:
  CodeKernel(const Node& node, const Work& work) : node_(node), work_(work) {}

  const char* name() const override { return "code"; }

  void run(const void* const* operands, void* out, int threads) const override {
    void* buffers[kMaxStageBuffers];
    const size_t count = node_.operands.size();
    for (size_t i = 0; i < count; ++i) buffers[i] = const_cast<void*>(operands[i]);
    buffers[count] = out;
    const int64_t grains = std::max<int64_t>(1, work_.units / work_.grain);
    const int64_t jobs = std::min(grains, threads == 1 ? 1 : threads * kJobsPerThread);
    const int64_t granules = (work_.units + work_.granule - 1) / work_.granule;
    parallel_for(jobs, threads, [&](int64_t job) {
      const int64_t begin = granules * job / jobs * work_.granule;
      const int64_t end = std::min(work_.units, granules * (job + 1) / jobs * work_.granule);
      if (begin < end) work_.code(buffers, thread_scratch(work_.scratch_bytes), begin, end);
    });
  }

 private:
  const Node& node_;
  const Work work_;
};

}  // namespace

void check(const Work& work) {
  if (work.code == nullptr || work.units < 1 || work.grain < 1 || work.granule < 1 ||
      work.scratch_bytes < 0) {
    throw std::invalid_argument("machine code needs an address, and units, grain and granule >= 1");
  }
}

void* thread_scratch(int64_t bytes) {
  thread_local Scratch scratch;
  return scratch.reserve(bytes);
}

std::unique_ptr<Kernel> prepare_code(const Node& node, const Work& work) {
  check(work);
  return std::make_unique<CodeKernel>(node, work);
}

}  // namespace pinpoint
