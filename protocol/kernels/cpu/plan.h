// What is worked out once per node before any element is computed: which instructions and loads
// matter, where each value is kept, and the affine part of every address.
#pragma once

#include <vector>

#include "block_ops.h"
#include "node.h"

namespace pinpoint {

// A load's address: constant + sum(stride[c] * coordinate c) over the axes that are always in
// bounds, plus the axes that must be checked at every element.
struct LoadPlan {
  int64_t constant;
  int64_t stride[kMaxCoordinates];
  std::vector<int> checked_axes;  // empty: the load needs no check at all
  bool narrow;                    // all checked axes are: 32-bit arithmetic does
  bool needed;
};

enum class Blocking {
  Outputs,  // lanes are output elements; buffers of dead values are used again
  Terms,    // lanes are terms of one element; every value keeps its own buffer
};

// Which loads the caller needs, besides those that decide which terms are skipped.
enum class Wanted { Body, Guards, All };

struct Plan {
  Plan(const Node& node, Blocking blocking, Wanted wanted);

  const Node& node;
  std::vector<LoadPlan> loads;
  std::vector<Step> independent;  // steps that do not depend on acc (Outputs: all but the last)
  std::vector<Step> dependent;    // steps that do (Outputs: the last one, if it is the result)
  int result;                     // buffer of the new accumulator
  bool result_depends;            // ... and whether it depends on acc
  bool masked = false;            // terms may be skipped: a guard or a skip load exists
  std::vector<bool> coordinate_used;
  int buffers;
};

}  // namespace pinpoint
