#include "engine.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "block.h"
#include "float_mode.h"
#include "guarded.h"
#include "matmul.h"
#include "plan.h"
#include "thread_pool.h"

namespace pinpoint {
namespace {

constexpr int64_t kFewOutputs = 8;          // fewer: lanes are terms

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
    ops.run(plan.independent.data(), static_cast<int>(plan.independent.size()), block.buffers(),
            n);
    uint32_t* row = rows == nullptr ? nullptr : rows + start * columns;
    ops.chain(plan.dependent.data(), static_cast<int>(plan.dependent.size()), plan.result,
              plan.result_depends, block.buffers(), n,
              live == Live::All ? nullptr : block.mask(), &accumulator, row, columns);
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

void run_node(const Node& node, const void* const* operands, void* out, int threads,
              int64_t grain, const BlockOps& ops) {
  const double work = static_cast<double>(node.numel) * static_cast<double>(node.terms) *
                      static_cast<double>(node.instructions.size() + node.loads.size() + 1);
  if (work < static_cast<double>(grain)) threads = 1;
  if (run_matmul(node, operands, out, threads, ops)) return;
  if (run_guarded(node, operands, out, threads, ops)) return;

  if (node.numel < kFewOutputs && node.terms > node.numel) {
    Plan plan(node, Blocking::Terms, Wanted::Body);
    Space domain(node, range(node.rank(), node.coordinates()));
    parallel_for(node.numel, threads, [&](int64_t element) {
      Block block(plan, domain, ops, operands);
      uint32_t word = run_terms(plan, block, domain, element, nullptr, ops);
      store(node.dtype, out, element, &word, 1, ops);
    });
    return;
  }
  Plan plan(node, Blocking::Outputs, Wanted::Body);
  Space outputs(node, range(0, node.rank()));
  int64_t blocks = (node.numel + kBlock - 1) / kBlock;
  int64_t jobs = std::min<int64_t>(blocks, threads == 1 ? 1 : threads * 4);
  parallel_for(jobs, threads, [&](int64_t job) {
    run_outputs(plan, outputs, operands, out, blocks * job / jobs * kBlock,
                std::min(node.numel, blocks * (job + 1) / jobs * kBlock), ops);
  });
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
