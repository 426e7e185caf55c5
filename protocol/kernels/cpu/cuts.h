// How a matrix product is cut: terms, panels of rows, strips of columns, and jobs. Sizes follow the
// caches of this machine; they change the speed, never a bit.
#pragma once

#include <vector>

#include "arrangement.h"
#include "factor.h"

namespace pinpoint {

// Up to one vector of columns.
struct Strip {
  int64_t first;
  int lanes;
  bool in_place;  // read where the factor's elements are, else packed
};

struct Cuts {
  int64_t depth;       // terms whose sums stay in registers; between blocks they rest in memory
  int64_t rows;        // of the whole product
  int64_t panels;      // of rows: panel p begins at row rows * p / panels
  int64_t job_panels;  // most panels of a job
  std::vector<Strip> strips;
  bool direct;  // the lanes of every strip are neighbours in the output

  int64_t panel_begin(int64_t panel) const { return rows * panel / panels; }
};

Cuts choose_cuts(const Factor& left, const Factor& right,
                         const std::vector<int32_t>& out_runs, const TileOps& ops);

// A job: some panels times some strips of a batch.
struct Grid {
  int64_t row_parts, column_parts;
};

Grid choose_grid(const Cuts& cuts, int64_t batches, int threads);

}  // namespace pinpoint
