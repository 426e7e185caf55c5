// Order of additions: terms are visited in order, each one touches only the outputs whose pinned
// coordinates equal its guard words; so every accumulator sees its own terms in order.
#include "guarded.h"

#include <algorithm>
#include <vector>

#include "block.h"
#include "plan.h"
#include "thread_pool.h"

namespace pinpoint {
namespace {

// Does the word of this load depend on an output coordinate, directly or through its index loads?
std::vector<bool> depending_on_output(const Node& node) {
  std::vector<bool> depends(node.loads.size(), false);
  for (size_t k = 0; k < node.loads.size(); ++k) {
    for (const Axis& axis : node.loads[k].axes) {
      for (int c = 0; c < node.rank(); ++c) {
        if (axis.coordinate_coef[c] != 0) depends[k] = true;
      }
      for (size_t j = 0; j < k; ++j) {
        if (axis.word_coef[j] != 0 && depends[j]) depends[k] = true;
      }
    }
  }
  return depends;
}

class Pass {
 public:
  Pass(const Node& node, const void* const* operands, uint32_t* accumulators, const BlockOps& ops)
      : node_(node),
        operands_(operands),
        accumulators_(accumulators),
        ops_(ops),
        terms_plan_(node, Blocking::Terms, Wanted::Guards),
        body_plan_(node, Blocking::Outputs, Wanted::Body),
        domain_(node, domain_coordinates(node)),
        free_(node, free_coordinates(node)) {
    int64_t stride = 1;
    for (int c = node.rank() - 1; c >= 0; --c) {
      out_stride_[c] = stride;
      stride *= node.shape[c];
    }
  }

  int64_t free_blocks() const { return (free_.points + kBlock - 1) / kBlock; }

  // Handles one block of the free coordinates and every `owners`-th value of the first pinned one.
  void run(int64_t free_block, int64_t owner, int64_t owners) const {
    Block words(terms_plan_, domain_, ops_, operands_, false);
    Block body(body_plan_, free_, ops_, operands_, false);
    AffineRuns target(free_, out_stride_);
    int64_t first = free_block * kBlock;
    int n = static_cast<int>(std::min<int64_t>(kBlock, free_.points - first));
    body.begin(first, n);
    target.begin(first, n);

    int64_t at[kMaxCoordinates] = {};
    int64_t zero[kMaxCoordinates] = {};
    for (int64_t start = 0; start < node_.terms; start += kBlock) {
      int terms = static_cast<int>(std::min<int64_t>(kBlock, node_.terms - start));
      words.begin(start, terms);
      words.load(zero);
      for (int t = 0; t < terms; ++t, step(at)) {
        if (!pin(words, t, at) || at[node_.guards[0].coordinate] % owners != owner) continue;
        visit(body, target, at);
      }
    }
  }

 private:
  static std::vector<int> domain_coordinates(const Node& node) {
    std::vector<int> numbers;
    for (int c = node.rank(); c < node.coordinates(); ++c) numbers.push_back(c);
    return numbers;
  }
  static std::vector<int> free_coordinates(const Node& node) {
    std::vector<int> numbers;
    for (int c = 0; c < node.rank(); ++c) {
      bool pinned = false;
      for (const Guard& guard : node.guards) pinned = pinned || guard.coordinate == c;
      if (!pinned) numbers.push_back(c);
    }
    return numbers;
  }

  void step(int64_t* at) const {
    for (int c = node_.coordinates() - 1; c >= node_.rank(); --c) {
      if (++at[c] < node_.dimension(c)) return;
      at[c] = 0;
    }
  }

  // Sets the pinned coordinates from the guard words of term t; false if no output matches them.
  bool pin(const Block& words, int t, int64_t* at) const {
    for (const Guard& guard : node_.guards) at[guard.coordinate] = -1;
    for (const Guard& guard : node_.guards) {
      int64_t value = static_cast<int32_t>(words.word(guard.load)[t]);
      int64_t& coordinate = at[guard.coordinate];
      if (value < 0 || value >= node_.shape[guard.coordinate]) return false;
      if (coordinate >= 0 && coordinate != value) return false;
      coordinate = value;
    }
    return true;
  }

  void visit(Block& body, const AffineRuns& target, const int64_t* at) const {
    Live live = body.load(at);
    if (live == Live::None) return;
    uint32_t* to = accumulators_;
    for (const Guard& guard : node_.guards) {
      if (first_guard_of(guard)) to += out_stride_[guard.coordinate] * at[guard.coordinate];
    }
    uint32_t* lanes = body.accumulator();
    each(target, [&](int lane, int64_t address) { lanes[lane] = to[address]; });
    body.advance(live);
    each(target, [&](int lane, int64_t address) { to[address] = lanes[lane]; });
  }

  bool first_guard_of(const Guard& guard) const {
    for (const Guard& other : node_.guards) {
      if (other.coordinate == guard.coordinate) return &other == &guard;
    }
    return false;
  }

  template <typename Visit>
  static void each(const AffineRuns& target, Visit visit) {
    if (target.scattered) {
      for (int lane = 0; lane < target.lanes; ++lane) visit(lane, target.offsets[lane]);
      return;
    }
    for (const AffineRuns::Run& run : target.runs) {
      for (int t = 0; t < run.length; ++t) visit(run.lane + t, run.address + t * target.inner);
    }
  }

  const Node& node_;
  const void* const* operands_;
  uint32_t* accumulators_;
  const BlockOps& ops_;
  Plan terms_plan_;
  Plan body_plan_;
  Space domain_;
  Space free_;
  int64_t out_stride_[kMaxCoordinates] = {};
};

class GuardedKernel : public Kernel {
 public:
  GuardedKernel(const Node& node, const BlockOps& ops) : node_(node), ops_(ops) {}

  const char* name() const override { return "guarded"; }

  void run(const void* const* operands, void* out, int threads) const override {
    // A u8 output holds only the low byte of its accumulator: accumulate beside it.
    std::vector<uint32_t> wide(node_.dtype == DType::U8 ? node_.numel : 0);
    uint32_t* accumulators = wide.empty() ? static_cast<uint32_t*>(out) : wide.data();
    std::fill_n(accumulators, node_.numel, node_.init);
    Pass pass(node_, operands, accumulators, ops_);
    int64_t owners = std::min<int64_t>(threads, node_.shape[node_.guards[0].coordinate]);
    parallel_for(pass.free_blocks() * owners, threads,
                 [&](int64_t job) { pass.run(job / owners, job % owners, owners); });
    store(node_.dtype, out, 0, accumulators, node_.numel, ops_);
  }

 private:
  const Node& node_;
  const BlockOps& ops_;
};

}  // namespace

std::unique_ptr<Kernel> prepare_guarded(const Node& node, const BlockOps& ops) {
  if (node.guards.empty()) return nullptr;
  const std::vector<bool> depends = depending_on_output(node);
  for (const Guard& guard : node.guards) {
    if (depends[guard.load]) return nullptr;
  }
  return std::make_unique<GuardedKernel>(node, ops);
}

}  // namespace pinpoint
