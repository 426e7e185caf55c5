// One factor of a matrix product, seen through its load's view, and its packing into panels.
#pragma once

#include <vector>

#include "block_ops.h"
#include "plan.h"
#include "runs.h"

namespace pinpoint {

using Offsets = std::vector<int64_t>;

// sum(stride * coordinate) at all points of some coordinates, row-major.
Offsets offsets_of(const Node& node, const std::vector<int>& coordinates, const int64_t* stride);

// For each offset, how many from it on follow each other without a gap.
std::vector<int32_t> contiguous_runs(const Offsets& offsets);

// Element (batch, line, k) of a load; lines are the rows or the columns of the product.
class Factor {
 public:
  Factor(const Node& node, const Plan& plan, int load, const void* operand,
         const std::vector<int>& batch, const std::vector<int>& lines,
         const std::vector<int>& depth, const BlockOps& ops);

  // Writes lines first .. first+count-1 at terms k .. k+depth-1 as panels of `width` lines:
  // destination[panel][term][line]. Lines beyond the last one are zeros.
  void pack(float* destination, int64_t batch, int64_t first, int64_t count, int width, int64_t k,
            int64_t depth) const;

 private:
  // An axis that can be out of bounds: its coordinate is the sum of three parts, over the divisor.
  struct Checked {
    const Axis* axis;
    Offsets batch, lines, depth;
    std::vector<int32_t> narrow_lines;  // the same as `lines`, where they fit
  };

  void pack_plain(float* destination, const float* source, const int64_t* lines,
                  const int32_t* runs, int64_t count, int width, const int64_t* terms,
                  int64_t depth) const;
  void pack_checked(float* destination, int64_t batch, int64_t first, int64_t count, int width,
                    int64_t k, int64_t depth) const;
  // The words of consecutive lines at one term, with the bounds found per run or per line.
  void clip_lines(uint32_t* words, const AffineRuns& runs, int64_t batch, int64_t k) const;
  void pick_lines(uint32_t* words, int64_t batch, int64_t first, int n, int64_t k) const;

  const float* operand_;
  uint32_t fill_;
  int64_t constant_;
  bool narrow_;
  Offsets batch_, lines_, depth_;
  std::vector<int32_t> runs_;  // of lines_
  AffineRuns runs_by_line_;
  bool by_runs_;
  std::vector<Checked> checked_;
  const BlockOps& ops_;
};

}  // namespace pinpoint
