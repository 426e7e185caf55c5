#include "engine.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "block.h"
#include "float_mode.h"
#include "guarded.h"
#include "matmul.h"
#include "plan.h"
#include "switched.h"
#include "thread_pool.h"

namespace pinpoint {
namespace {

constexpr int64_t kFewOutputs = 8;  // fewer: lanes are terms

std::vector<int> range(int first, int last) {
  std::vector<int> numbers(last - first);
  std::iota(numbers.begin(), numbers.end(), first);
  return numbers;
}

// Next point of the domain, row-major.
void next_term(const Node& node, int64_t* coordinates) {
  for (int c = node.coordinates() - 1; c >= node.rank(); --c) {
    if (++coordinates[c] < node.dimension(c)) return;
    coordinates[c] = 0;
  }
}

void set_output(const Node& node, int64_t element, int64_t* coordinates) {
  for (int c = node.rank() - 1; c >= 0; --c) {
    coordinates[c] = element % node.shape[c];
    element /= node.shape[c];
  }
}

// Lanes are output elements; each sees the terms in order.
void run_outputs(const Plan& plan, const Space& outputs, const void* const* operands, void* out,
                 int64_t first, int64_t last, const BlockOps& ops) {
  const Node& node = plan.node;
  Block block(plan, outputs, ops, operands);
  for (int64_t start = first; start < last; start += kBlock) {
    int n = static_cast<int>(std::min<int64_t>(kBlock, last - start));
    block.begin(start, n);
    std::fill_n(block.accumulator(), n, node.init);
    int64_t coordinates[kMaxCoordinates] = {};
    for (int64_t term = 0; term < node.terms; ++term) {
      Live live = block.load(coordinates);
      if (live != Live::None) block.advance(live);
      next_term(node, coordinates);
    }
    store(node.dtype, out, start, block.accumulator(), n, ops);
  }
}

// Lanes are terms of one element: what does not depend on acc is computed a block at a time, then
// the accumulator walks over the block. `rows`, if any, receives what fold_element returns.
uint32_t run_terms(const Plan& plan, Block& block, const Space& domain, int64_t element,
                   uint32_t* rows, const BlockOps& ops) {
  const Node& node = plan.node;
  int64_t coordinates[kMaxCoordinates] = {};
  set_output(node, element, coordinates);
  uint32_t accumulator = node.init;
  const int64_t columns = 1 + static_cast<int64_t>(node.loads.size());
  for (int64_t start = 0; start < node.terms; start += kBlock) {
    int n = static_cast<int>(std::min<int64_t>(kBlock, domain.points - start));
    block.begin(start, n);
    Live live = block.load(coordinates);
    ops.run(plan.independent.data(), static_cast<int>(plan.independent.size()), block.buffers(), n);
    uint32_t* row = rows == nullptr ? nullptr : rows + start * columns;
    ops.chain(plan.dependent.data(), static_cast<int>(plan.dependent.size()), plan.result,
              plan.result_depends, block.buffers(), n, live == Live::All ? nullptr : block.mask(),
              &accumulator, row, columns);
    for (int64_t k = 0; row != nullptr && k + 1 < columns; ++k) {
      const uint32_t* words = block.word(static_cast<int>(k));
      for (int t = 0; t < n; ++t) row[t * columns + 1 + k] = words[t];
    }
  }
  return accumulator;
}

}  // namespace

void store(DType dtype, void* out, int64_t first, const uint32_t* words, int64_t n,
           const BlockOps& ops) {
  if (dtype == DType::U8) {
    ops.narrow_u8(static_cast<uint8_t*>(out) + first, words, n);
  } else if (dtype == DType::F32) {
    ops.canonicalise(static_cast<uint32_t*>(out) + first, words, n);
  } else {
    std::copy_n(words, n, static_cast<uint32_t*>(out) + first);
  }
}

namespace {

// A few long folds: lanes are terms.
class TermsKernel : public Kernel {
 public:
  TermsKernel(const Node& node, const BlockOps& ops)
      : plan_(node, Blocking::Terms, Wanted::Body),
        domain_(node, range(node.rank(), node.coordinates())),
        ops_(ops) {}

  const char* name() const override { return "terms"; }

  void run(const void* const* operands, void* out, int threads) const override {
    const Node& node = plan_.node;
    parallel_for(node.numel, threads, [&](int64_t element) {
      Block block(plan_, domain_, ops_, operands);
      uint32_t word = run_terms(plan_, block, domain_, element, nullptr, ops_);
      store(node.dtype, out, element, &word, 1, ops_);
    });
  }

 private:
  Plan plan_;
  Space domain_;
  const BlockOps& ops_;
};

// Everything else: lanes are output elements.
class OutputsKernel : public Kernel {
 public:
  OutputsKernel(const Node& node, const BlockOps& ops)
      : plan_(node, Blocking::Outputs, Wanted::Body),
        outputs_(node, range(0, node.rank())),
        ops_(ops) {}

  const char* name() const override { return "outputs"; }

  void run(const void* const* operands, void* out, int threads) const override {
    const int64_t numel = plan_.node.numel;
    const int64_t blocks = (numel + kBlock - 1) / kBlock;
    const int64_t jobs = std::min<int64_t>(blocks, threads == 1 ? 1 : threads * 4);
    parallel_for(jobs, threads, [&](int64_t job) {
      run_outputs(plan_, outputs_, operands, out, blocks * job / jobs * kBlock,
                  std::min(numel, blocks * (job + 1) / jobs * kBlock), ops_);
    });
  }

 private:
  Plan plan_;
  Space outputs_;
  const BlockOps& ops_;
};

// Little work: waking threads would take longer than doing it.
class SmallKernel : public Kernel {
 public:
  explicit SmallKernel(std::unique_ptr<Kernel> kernel) : kernel_(std::move(kernel)) {}
  const char* name() const override { return kernel_->name(); }
  int64_t table_bytes() const override { return kernel_->table_bytes(); }
  void run(const void* const* operands, void* out, int) const override {
    kernel_->run(operands, out, 1);
  }

 private:
  std::unique_ptr<Kernel> kernel_;
};

std::unique_ptr<Kernel> choose(const Node& node, const BlockOps& ops, int64_t most_table_bytes) {
  if (std::unique_ptr<Kernel> kernel = prepare_matmul(node, ops, most_table_bytes)) return kernel;
  if (std::unique_ptr<Kernel> kernel = prepare_guarded(node, ops)) return kernel;
  if (node.numel < kFewOutputs && node.terms > node.numel) {
    return std::make_unique<TermsKernel>(node, ops);
  }
  return std::make_unique<OutputsKernel>(node, ops);
}

}  // namespace

std::unique_ptr<Kernel> prepare(const Node& node, const BlockOps& ops, int64_t grain,
                                int64_t most_table_bytes) {
  const double work = static_cast<double>(node.numel) * static_cast<double>(node.terms) *
                      static_cast<double>(node.instructions.size() + node.loads.size() + 1);
  std::unique_ptr<Kernel> kernel = choose(node, ops, most_table_bytes);
  if (work < static_cast<double>(grain)) kernel = std::make_unique<SmallKernel>(std::move(kernel));
  return prepare_switched(node, ops, std::move(kernel));
}

void fold_element(const Node& node, const void* const* operands, int64_t element, uint32_t* rows,
                  const BlockOps& ops) {
  FloatMode mode;
  Plan plan(node, Blocking::Terms, Wanted::All);
  Space domain(node, range(node.rank(), node.coordinates()));
  Block block(plan, domain, ops, operands);
  run_terms(plan, block, domain, element, rows, ops);
  const int64_t columns = 1 + static_cast<int64_t>(node.loads.size());
  for (int64_t column = 0; column < columns; ++column) {
    DType dtype = column == 0 ? node.dtype : node.load_dtype(static_cast<int>(column) - 1);
    if (dtype != DType::F32) continue;
    for (int64_t r = 0; r < node.terms; ++r) {
      uint32_t* word = rows + r * columns + column;
      ops.canonicalise(word, word, 1);
    }
  }
}

}  // namespace pinpoint
