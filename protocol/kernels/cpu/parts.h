// Some of a node's coordinates, walked row-major, and what they add to an address.
#pragma once

#include <cstdint>
#include <vector>

#include "node.h"

namespace pinpoint {

using Offsets = std::vector<int64_t>;

// `dim` values of a coordinate, `step` apart: all of it, or one level of a coordinate that is
// walked in blocks.
struct Part {
  int coordinate;
  int64_t dim;
  int64_t step;
};
using Parts = std::vector<Part>;

int64_t points_of(const Parts& parts);

// sum(coef * coordinate) at all points.
Offsets offsets_of(const Parts& parts, const int64_t* coef);

// The least value and the greatest of sum(coef * coordinate).
struct Range {
  int64_t low;
  int64_t high;
};
Range range_of(const Parts& parts, const int64_t* coef);

// For each offset, how many from it on follow each other, `step` apart.
std::vector<int32_t> runs_of(const Offsets& offsets, int64_t step);

}  // namespace pinpoint
