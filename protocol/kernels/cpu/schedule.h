// A list of kernels over numbered buffers that one call runs: a whole training step without going
// back to Python.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "code.h"
#include "kernel.h"

namespace pinpoint {

class Schedule {
 public:
  explicit Schedule(int buffers) : pointers_(buffers, nullptr) {}

  // Stages run in the order of these calls, except that stages between two barriers do not depend
  // on each other and may run side by side.
  void add_code(const Work& work, std::vector<int> buffers);
  void add_kernel(std::shared_ptr<const Kernel> kernel, std::vector<int> operands, int out);
  void add_barrier() { closed_ = true; }

  // The address of a buffer, for all runs until it is set again.
  void bind(int buffer, void* address) { pointers_.at(buffer) = address; }
  int buffers() const { return static_cast<int>(pointers_.size()); }
  bool is_bound() const;

  void run(int threads) const;

 private:
  struct CodeStage {
    Work work;
    std::vector<int> buffers;
  };
  struct KernelStage {
    std::shared_ptr<const Kernel> kernel;
    std::vector<int> operands;
    int out;
  };
  // Stages that do not depend on each other.
  struct Wave {
    std::vector<CodeStage> codes;
    std::vector<KernelStage> kernels;
  };
  struct Job {
    const CodeStage* stage;
    int64_t begin;
    int64_t end;
  };

  static std::vector<Job> jobs_of(const Wave& wave, double jobs);
  void run_codes(const Wave& wave, int threads) const;
  void run_kernel(const KernelStage& stage, int threads) const;
  void check_buffers(const std::vector<int>& buffers) const;
  Wave& open_wave();

  std::vector<void*> pointers_;
  std::vector<Wave> waves_;
  bool closed_ = true;
};

}  // namespace pinpoint
