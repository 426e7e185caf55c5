#include "arrangement.h"

#include <algorithm>

#include "padded_copy.h"

namespace pinpoint {
namespace {

constexpr int64_t kFewColumns = 8;
constexpr int64_t kFewTerms = 4;
constexpr int64_t kLargestCopy = int64_t{1} << 24;  // words; what needs more is left to the engine
constexpr int64_t kGoodCopy = int64_t{1} << 17;     // words that stay in a second-level cache
constexpr int64_t kGoodColumns = 256;               // columns of a batch that keep tiles busy
constexpr int64_t kGoodBatches = 4;                 // copies of their own for that many threads

// The loads of fma(load, load, acc), the only live instruction; false for any other body.
bool match_body(const Node& node, Arrangement& product) {
  const int index = node.result - node.first_instruction();
  if (node.dtype != DType::F32 || index < 0) return false;
  const Instruction& instruction = node.instructions[index];
  const int loads = static_cast<int>(node.loads.size());
  product.left = instruction.args[0] - 1;
  product.right = instruction.args[1] - 1;
  if (instruction.op != 0x06 || instruction.args[2] != 0) return false;
  return product.left >= 0 && product.left < loads && product.right >= 0 && product.right < loads;
}

// Does the load's address, in or out of bounds, change with the coordinate?
bool moves(const Node& node, const Plan& plan, int load, int coordinate) {
  bool any = plan.loads[load].stride[coordinate] != 0;
  for (int a : plan.loads[load].checked_axes) {
    any = any || node.loads[load].axes[a].coordinate_coef[coordinate] != 0;
  }
  return any;
}

bool is_indirect(const Load& load) {
  return std::any_of(load.axes.begin(), load.axes.end(),
                     [](const Axis& axis) { return axis.uses_words; });
}

// Sorts the output coordinates: rows move the left factor only, columns the right one only, batches
// both (or none). The innermost one should be a column: lanes are then neighbours in the output.
void sort_coordinates(const Node& node, const Plan& plan, Arrangement& product) {
  int innermost = node.rank() - 1;
  while (innermost > 0 && node.shape[innermost] == 1) --innermost;
  if (innermost >= 0 && !moves(node, plan, product.right, innermost)) {
    std::swap(product.left, product.right);
  }
  for (int c = 0; c < node.coordinates(); ++c) {
    if (node.dimension(c) == 1) continue;
    const bool left = moves(node, plan, product.left, c);
    const bool right = moves(node, plan, product.right, c);
    Parts& parts = c >= node.rank() ? product.terms
                   : left == right  ? product.batch
                   : left           ? product.rows
                                    : product.columns;
    parts.push_back({c, node.dimension(c), 1});
  }
}

void swap_sides(Arrangement& product) {
  std::swap(product.left, product.right);
  std::swap(product.rows, product.columns);
}

// Words of a padded copy for each word that the product reads.
double copy_ratio(const Node& node, const Arrangement& product, int load, const Parts& lines) {
  const int64_t volume = padded_volume(node.loads[load], lines, product.terms, int64_t{1} << 40);
  return static_cast<double>(volume) / static_cast<double>(points_of(lines)) /
         static_cast<double>(points_of(product.terms));
}

// Would the rows make better lanes: long runs of the left factor's memory instead of short ones of
// the output?
bool has_better_rows(const Node& node, const Plan& plan, const Arrangement& product) {
  if (product.rows.empty() || product.columns.empty()) return false;
  if (points_of(product.columns) < kFewColumns) return points_of(product.rows) >= kFewColumns;
  const Part& row = product.rows.back();
  if (row.dim < kFewColumns) return false;
  if (plan.loads[product.left].checked_axes.empty()) {
    return product.columns.back().dim < kFewColumns &&
           plan.loads[product.left].stride[row.coordinate] == 1;
  }
  // A factor that a copy makes much smaller (an image, not its weights) goes to the right.
  const double left = copy_ratio(node, product, product.left, product.rows);
  return left < 0.5 && copy_ratio(node, product, product.right, product.columns) > 2 * left;
}

// The columns' coordinate that a copy shall join: the innermost one of the output if it is long
// enough, else the longest.
void choose_lane(const Node& node, Arrangement& product, const TileOps& ops) {
  const Load& load = node.loads[product.right];
  Parts& columns = product.columns;
  auto fits = [&](const Part& part) {
    return PaddedCopy::can_be_lane(load, columns, product.terms, part.coordinate);
  };
  product.lane = fits(columns.back()) ? columns.back().coordinate : -1;
  if (product.lane >= 0 && columns.back().dim >= kFewColumns) return;
  size_t best = columns.size();
  for (size_t i = 0; i < columns.size(); ++i) {
    if (columns[i].dim < ops.lanes || !fits(columns[i])) continue;
    if (best == columns.size() || columns[i].dim > columns[best].dim) best = i;
  }
  if (best == columns.size()) return;
  product.lane = columns[best].coordinate;
  std::rotate(columns.begin() + best, columns.begin() + best + 1, columns.end());
}

// Is the innermost column scattered in memory, and would a copy that turns it be cheap?
bool is_worth_turning(const Node& node, const Plan& plan, const Arrangement& product,
                      const TileOps& ops) {
  const Part& inner = product.columns.back();
  if (inner.dim >= ops.lanes || product.columns.size() < 2) return false;
  if (plan.loads[product.right].stride[inner.coordinate] == 0) return false;
  Arrangement turned = product;
  choose_lane(node, turned, ops);
  return turned.lane >= 0 && turned.lane != inner.coordinate &&
         copy_ratio(node, product, product.right, product.columns) < 0.35;
}

int64_t largest_divisor(int64_t number, int64_t most) {
  for (int64_t d = std::min(number, std::max<int64_t>(most, 1)); d > 1; --d) {
    if (number % d == 0) return d;
  }
  return 1;
}

// How many values of a column part a batch keeps, so that its copy stays in the cache and enough
// columns are left to work on; all of them if that takes no cut.
int64_t kept_of(const Load& load, Arrangement product, size_t part) {
  auto volume = [&] {
    return static_cast<double>(
        padded_volume(load, product.columns, product.terms, int64_t{1} << 40));
  };
  Part& columns = product.columns[part];
  const int64_t dim = columns.dim;
  const int64_t others = points_of(product.columns) / dim;
  const int64_t unit = columns.coordinate == product.lane ? kMaxStrip : 1;
  const int64_t enough = std::max((kGoodColumns + others - 1) / others, unit);
  const int64_t batches = points_of(product.batch);
  const double before = volume();
  int64_t kept = dim;
  while (kept > enough) {
    const bool fits = volume() <= kGoodCopy;
    if (fits && batches * (dim / kept) >= kGoodBatches) break;
    const int64_t next = largest_divisor(dim, kept - 1);
    columns.dim = next;
    // Copies that overlap must not do much more work than one; they only make it fit.
    const double work = volume() * static_cast<double>(dim / next) / before;
    if (next < enough || work > (fits ? 1.01 : 1.3)) break;
    kept = next;
  }
  return kept;
}

// Cuts the columns into batches.
void split_columns(const Node& node, Arrangement& product) {
  const Load& load = node.loads[product.right];
  auto volume = [&] { return padded_volume(load, product.columns, product.terms, kLargestCopy); };
  for (size_t i = 0; i < product.columns.size(); ++i) {
    Part& columns = product.columns[i];
    if (columns.coordinate == product.lane && volume() < kLargestCopy) continue;
    const int64_t kept = kept_of(load, product, i);
    if (kept == columns.dim) continue;
    product.batch.push_back({columns.coordinate, columns.dim / kept, kept});
    columns.dim = kept;
  }
}

// A copy may be so sparse or so large that it is better to look at each element's bounds.
bool is_affordable(const Node& node, const Arrangement& product, int load, const Parts& lines) {
  const int64_t volume = padded_volume(node.loads[load], lines, product.terms, kLargestCopy);
  const int64_t used = points_of(lines) * points_of(product.terms);
  // What is small is copied all the same, if that is not done for each of a million batches.
  const int64_t small = kGoodCopy / std::min(points_of(product.batch), kGoodCopy);
  return volume < kLargestCopy && volume / 4 <= std::max(used, small);
}

}  // namespace

bool Arrangement::moves_left(const Node& node, const Plan& plan) const {
  return std::any_of(batch.begin(), batch.end(),
                     [&](const Part& part) { return moves(node, plan, left, part.coordinate); });
}

int64_t Arrangement::table_bytes() const {
  // An offset of a factor and one of the output, their runs twice, the cuts; the copies' sides.
  const int64_t sides = kMaxAxes * ((copies_left ? 1 : 0) + (copies_right ? 1 : 0));
  return 48 * (points_of(rows) + points_of(columns)) + 24 * points_of(terms) +
         (24 + 8 * sides) * points_of(batch);
}

std::optional<Arrangement> arrange(const Node& node, const Plan& plan, const TileOps& ops) {
  Arrangement product{};
  product.lane = -1;
  if (plan.masked || !match_body(node, product)) return std::nullopt;
  if (is_indirect(node.loads[product.left]) || is_indirect(node.loads[product.right])) {
    return std::nullopt;
  }
  sort_coordinates(node, plan, product);
  if (has_better_rows(node, plan, product)) swap_sides(product);
  // Below this a tile would mostly compute padding.
  if (points_of(product.rows) < 2 || points_of(product.columns) < kFewColumns ||
      node.terms < kFewTerms) {
    return std::nullopt;
  }
  product.copies_left = !plan.loads[product.left].checked_axes.empty();
  product.copies_right =
      !plan.loads[product.right].checked_axes.empty() || is_worth_turning(node, plan, product, ops);
  if (product.copies_right) {
    choose_lane(node, product, ops);
    split_columns(node, product);
    if (!is_affordable(node, product, product.right, product.columns)) return std::nullopt;
  }
  if (product.copies_left && !is_affordable(node, product, product.left, product.rows)) {
    return std::nullopt;
  }
  return product;
}

}  // namespace pinpoint
