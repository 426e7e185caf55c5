// Order of additions: that of the kernel behind it, which runs if the terms count; if they do not,
// there are none.
#include "switched.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "block.h"
#include "plan.h"
#include "thread_pool.h"

namespace pinpoint {
namespace {

constexpr int64_t kLeastFill = int64_t{1} << 16;  // elements that are worth a thread

std::vector<int> outputs_of(const Node& node) {
  std::vector<int> numbers(node.rank());
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

// Which loads read the same word, or are out of bounds, for every output and term.
std::vector<bool> fixed_loads(const Node& node) {
  std::vector<bool> fixed;
  for (size_t k = 0; k < node.loads.size(); ++k) {
    bool same = true;
    for (const Axis& axis : node.loads[k].axes) {
      for (int c = 0; c < node.coordinates(); ++c) same = same && axis.coordinate_coef[c] == 0;
      for (size_t j = 0; j < k; ++j) same = same && (axis.word_coef[j] == 0 || fixed[j]);
    }
    fixed.push_back(same);
  }
  return fixed;
}

bool is_switched(const Node& node) {
  const std::vector<bool> fixed = fixed_loads(node);
  bool skips = false;
  for (size_t k = 0; k < node.loads.size(); ++k) {
    if (!node.loads[k].skip) continue;
    if (!fixed[k]) return false;
    skips = true;
  }
  return skips && node.guards.empty();
}

class SwitchedKernel : public Kernel {
 public:
  SwitchedKernel(const Node& node, const BlockOps& ops, std::unique_ptr<Kernel> kernel)
      : plan_(node, Blocking::Outputs, Wanted::Guards),
        outputs_(node, outputs_of(node)),
        ops_(ops),
        kernel_(std::move(kernel)) {
    for (size_t k = 0; k < node.loads.size(); ++k) {
      if (node.loads[k].skip) need(static_cast<int>(k));
    }
  }

  const char* name() const override { return "switched"; }
  int64_t table_bytes() const override { return kernel_->table_bytes(); }

  void run(const void* const* operands, void* out, int threads) const override {
    if (counts(operands)) {
      kernel_->run(operands, out, threads);
    } else {
      fill(out, threads);
    }
  }

 private:
  // Load k decides, and so do the words that it is indexed by; the others need not be read.
  void need(int k) {
    plan_.loads[k].needed = true;
    for (const Axis& axis : plan_.node.loads[k].axes) {
      for (int j = 0; j < k; ++j) {
        if (axis.word_coef[j] != 0 && !plan_.loads[j].needed) need(j);
      }
    }
  }

  // Whether the terms count, all of them: what the first says, all say.
  bool counts(const void* const* operands) const {
    Block block(plan_, outputs_, ops_, operands);
    block.begin(0, 1);
    const int64_t coordinates[kMaxCoordinates] = {};
    return block.load(coordinates) != Live::None;
  }

  void fill(void* out, int threads) const {
    const Node& node = plan_.node;
    const int64_t most = std::max<int64_t>(1, node.numel / kLeastFill);
    const int64_t jobs = std::min<int64_t>(threads, most);
    parallel_for(jobs, threads, [&](int64_t job) {
      const int64_t first = node.numel * job / jobs;
      const int64_t count = node.numel * (job + 1) / jobs - first;
      if (node.dtype == DType::U8) {
        std::fill_n(static_cast<uint8_t*>(out) + first, count, static_cast<uint8_t>(node.init));
      } else {
        std::fill_n(static_cast<uint32_t*>(out) + first, count, node.init);
      }
    });
  }

  Plan plan_;
  Space outputs_;
  const BlockOps& ops_;
  std::unique_ptr<Kernel> kernel_;
};

}  // namespace

std::unique_ptr<Kernel> prepare_switched(const Node& node, const BlockOps& ops,
                                         std::unique_ptr<Kernel> kernel) {
  if (!is_switched(node)) return kernel;
  return std::make_unique<SwitchedKernel>(node, ops, std::move(kernel));
}

}  // namespace pinpoint
