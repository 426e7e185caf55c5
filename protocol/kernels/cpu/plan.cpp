#include "plan.h"

namespace pinpoint {
namespace {

LoadPlan plan_load(const Load& load, int coordinates) {
  LoadPlan plan{};
  plan.constant = static_cast<int64_t>(load.offset);
  plan.narrow = true;
  for (size_t a = 0; a < load.axes.size(); ++a) {
    const Axis& axis = load.axes[a];
    if (!axis.always_in_bounds) {
      plan.checked_axes.push_back(static_cast<int>(a));
      plan.narrow = plan.narrow && axis.narrow;
    } else if (axis.size > 1) {
      // In bounds for every coordinate, hence |coef| < size and stride * size < 2^32.
      int64_t stride = static_cast<int64_t>(axis.stride);
      plan.constant += stride * axis.constant;
      for (int c = 0; c < coordinates; ++c) {
        plan.stride[c] += stride * axis.coordinate_coef[c];
      }
    }
  }
  return plan;
}

// Marks the loads that a needed load is indexed by.
void close_over_indices(const Node& node, std::vector<LoadPlan>& loads) {
  for (int k = static_cast<int>(loads.size()) - 1; k >= 0; --k) {
    if (!loads[k].needed) continue;
    for (const Axis& axis : node.loads[k].axes) {
      for (int j = 0; j < k; ++j) {
        if (axis.word_coef[j] != 0) loads[j].needed = true;
      }
    }
  }
}

}  // namespace

Plan::Plan(const Node& source, Blocking blocking, Wanted wanted)
    : node(source), coordinate_used(source.coordinates(), false) {
  const int first = node.first_instruction();
  const int count = static_cast<int>(node.instructions.size());

  std::vector<int> last_use(node.values(), -1);  // instruction that reads a live value last
  std::vector<bool> live(node.values(), false);
  live[node.result] = true;
  last_use[node.result] = count;
  for (int i = count - 1; i >= 0; --i) {
    if (!live[first + i]) continue;
    const Instruction& instruction = node.instructions[i];
    for (int k = 0; k < instruction.arity; ++k) {
      int value = instruction.args[k];
      live[value] = true;
      if (last_use[value] < i) last_use[value] = i;
    }
  }

  for (size_t k = 0; k < node.loads.size(); ++k) {
    loads.push_back(plan_load(node.loads[k], node.coordinates()));
    loads[k].needed =
        wanted == Wanted::All || (wanted == Wanted::Body && (live[1 + k] || node.loads[k].skip));
    masked = masked || node.loads[k].skip;
  }
  for (const Guard& guard : node.guards) loads[guard.load].needed = true;
  masked = masked || !node.guards.empty();
  close_over_indices(node, loads);
  for (int c = 0; c < node.coordinates(); ++c) {
    coordinate_used[c] = live[node.first_coordinate() + c];
  }

  std::vector<int> buffer(node.values());
  for (int value = 0; value < first; ++value) buffer[value] = value;
  std::vector<bool> depends(node.values(), false);
  depends[0] = true;
  std::vector<int> unused;
  buffers = first;
  for (int i = 0; i < count; ++i) {
    if (!live[first + i]) continue;
    const Instruction& instruction = node.instructions[i];
    Step step{};
    step.op = instruction.op;
    bool dependent_step = false;
    for (int k = 0; k < instruction.arity; ++k) {
      int value = instruction.args[k];
      step.args[k] = static_cast<uint16_t>(buffer[value]);
      if (depends[value]) {
        step.uses_accumulator |= static_cast<uint8_t>(1 << k);
        dependent_step = true;
      }
    }
    depends[first + i] = dependent_step;
    if (blocking == Blocking::Outputs) {
      // An operand that dies here frees its buffer; the result may take it: lanes are independent.
      for (int k = 0; k < instruction.arity; ++k) {
        int value = instruction.args[k];
        if (value >= first && last_use[value] == i) {
          unused.push_back(buffer[value]);
          last_use[value] = -1;
        }
      }
    }
    if (unused.empty()) unused.push_back(buffers++);
    buffer[first + i] = unused.back();
    unused.pop_back();
    step.destination = static_cast<uint16_t>(buffer[first + i]);
    bool last = blocking == Blocking::Outputs ? node.result == first + i : dependent_step;
    (last ? dependent : independent).push_back(step);
  }
  result = buffer[node.result];
  result_depends = depends[node.result];
}

}  // namespace pinpoint
