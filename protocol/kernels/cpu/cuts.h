// How a matrix product is cut: terms, panels of rows, strips of columns, and jobs. Sizes follow the
// caches of this machine; they change the speed, never a bit.
#pragma once

#include <vector>

#include "arrangement.h"
#include "factor.h"

namespace pinpoint {

struct Cuts {
  int64_t depth;  // terms whose sums stay in registers; between blocks they rest in memory
  std::vector<Strip> panels;   // of rows, each as high as a tile or a little lower
  std::vector<Strip> strips;   // of columns, each a vector or less
  std::vector<char> in_place;  // which strips are read where the factor's elements are
  bool direct;                 // the lanes of every strip are neighbours in the output
  int64_t job_panels;          // most panels of a job
};

Cuts choose_cuts(const Factor& left, const Factor& right, const std::vector<int32_t>& out_runs,
                 const TileOps& ops);

// A job: some panels times some strips of a batch.
struct Grid {
  int64_t row_parts, column_parts;
};

Grid choose_grid(const Cuts& cuts, int64_t batches, int threads);

}  // namespace pinpoint
