// Which coordinates of a node are the batches, rows, columns and terms of a matrix product.
#pragma once

#include <optional>

#include "parts.h"
#include "plan.h"
#include "tile.h"

namespace pinpoint {

// For every batch: out[row, column] = init + the sum over terms of left[row, term] * right[term,
// column]. Columns are the lanes of the tiles.
struct Arrangement {
  int left;  // loads
  int right;
  Parts batch, rows, columns, terms;
  bool copies_left;  // read a padded copy
  bool copies_right;
  int lane;  // coordinate whose neighbours the copy of the right factor joins, or -1

  bool moves_left(const Node& node, const Plan& plan) const;
  // Memory of the tables by which a product finds its elements: a hostile node may ask for offsets
  // of 2^31 rows of a factor of one element.
  int64_t table_bytes() const;
};

// Nothing if the node is no matrix product, or one that tiles would not make faster.
std::optional<Arrangement> arrange(const Node& node, const Plan& plan, const TileOps& ops);

}  // namespace pinpoint
