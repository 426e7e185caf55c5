#include "schedule.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "thread_pool.h"

namespace pinpoint {
namespace {

constexpr double kJobsPerThread = 4;  // so that a thread that is held up holds up little
constexpr double kWorthThreads = 2;   // grains of a wave below which nobody is woken

double grains(const Work& work) {
  return static_cast<double>(work.units) / static_cast<double>(work.grain);
}

}  // namespace

void Schedule::check_buffers(const std::vector<int>& buffers) const {
  for (int buffer : buffers) {
    if (buffer < 0 || buffer >= this->buffers()) {
      throw std::invalid_argument("buffer " + std::to_string(buffer) + " of " +
                                  std::to_string(this->buffers()));
    }
  }
  if (buffers.size() > kMaxStageBuffers) {
    throw std::invalid_argument(std::to_string(buffers.size()) + " buffers of a stage, at most " +
                                std::to_string(kMaxStageBuffers));
  }
}

Schedule::Wave& Schedule::open_wave() {
  if (closed_) waves_.emplace_back();
  closed_ = false;
  return waves_.back();
}

void Schedule::add_code(const Work& work, std::vector<int> buffers) {
  check(work);
  check_buffers(buffers);
  open_wave().codes.push_back({work, std::move(buffers)});
}

void Schedule::add_kernel(std::shared_ptr<const Kernel> kernel, std::vector<int> operands,
                          int out) {
  check_buffers(operands);
  check_buffers({out});
  open_wave().kernels.push_back({std::move(kernel), std::move(operands), out});
}

bool Schedule::is_bound() const {
  return std::all_of(pointers_.begin(), pointers_.end(), [](void* p) { return p != nullptr; });
}

void Schedule::run(int threads) const {
  for (const Wave& wave : waves_) {
    for (const KernelStage& stage : wave.kernels) run_kernel(stage, threads);
    if (!wave.codes.empty()) run_codes(wave, threads);
  }
}

void Schedule::run_kernel(const KernelStage& stage, int threads) const {
  const void* operands[kMaxStageBuffers];
  for (size_t i = 0; i < stage.operands.size(); ++i) operands[i] = pointers_[stage.operands[i]];
  stage.kernel->run(operands, pointers_[stage.out], threads);
}

// Cuts the stages of a wave into about that many jobs of like size; a small stage stays whole.
std::vector<Schedule::Job> Schedule::jobs_of(const Wave& wave, double jobs) {
  double total = 0;
  for (const CodeStage& stage : wave.codes) total += grains(stage.work);
  const double size = std::max(1.0, total / jobs);
  std::vector<Job> result;
  for (const CodeStage& stage : wave.codes) {
    const Work& work = stage.work;
    const int64_t wanted = static_cast<int64_t>(size * static_cast<double>(work.grain));
    const int64_t step =
        std::max<int64_t>(1, (wanted + work.granule - 1) / work.granule) * work.granule;
    for (int64_t begin = 0; begin < work.units; begin += step) {
      result.push_back({&stage, begin, std::min(work.units, begin + step)});
    }
  }
  return result;
}

// The jobs of all stages of a wave are handed out together: many small stages, such as the updates
// of many parameters, cost one meeting of the threads.
void Schedule::run_codes(const Wave& wave, int threads) const {
  double total = 0;
  for (const CodeStage& stage : wave.codes) total += grains(stage.work);
  if (total < kWorthThreads) threads = 1;
  const double wanted = threads == 1 ? 1 : threads * kJobsPerThread;
  const std::vector<Job> jobs = jobs_of(wave, wanted);
  // Where stages are many and small, several are one job.
  const int64_t count = static_cast<int64_t>(jobs.size());
  const int64_t groups = std::min<int64_t>(count, static_cast<int64_t>(4 * wanted));
  parallel_for(groups, threads, [&](int64_t group) {
    for (int64_t i = count * group / groups; i < count * (group + 1) / groups; ++i) {
      const std::vector<int>& numbers = jobs[i].stage->buffers;
      void* buffers[kMaxStageBuffers];
      for (size_t b = 0; b < numbers.size(); ++b) buffers[b] = pointers_[numbers[b]];
      const Work& work = jobs[i].stage->work;
      work.code(buffers, thread_scratch(work.scratch_bytes), jobs[i].begin, jobs[i].end);
    }
  });
}

}  // namespace pinpoint
