#include "cuts.h"

#include <unistd.h>

#include <algorithm>

namespace pinpoint {
namespace {

constexpr int64_t kMostResting = int64_t{1} << 18;  // sums of a job that rest in its own buffer
constexpr int64_t kFewPanels = 3;        // so few do not repay the packing of contiguous columns
constexpr double kPackingWork = 8.0;     // of a column's word, in fused multiply-adds of a row
constexpr int64_t kWorthMoreJobs = 256;  // rows and columns of a job that may be cut further

int64_t cache_size(int level, int64_t otherwise) {
#if defined(_SC_LEVEL1_DCACHE_SIZE) && defined(_SC_LEVEL2_CACHE_SIZE)
  const int64_t size = sysconf(level == 1 ? _SC_LEVEL1_DCACHE_SIZE : _SC_LEVEL2_CACHE_SIZE);
  if (size > 0) return size;
#else
  static_cast<void>(level);
#endif
  return otherwise;
}

// Strips of the columns, none across the end of a run.
std::vector<Strip> cut(int64_t columns, const std::vector<int32_t>& runs, int lanes) {
  std::vector<Strip> strips;
  for (int64_t first = 0; first < columns;) {
    const int n = static_cast<int>(std::min<int64_t>({lanes, runs[first], columns - first}));
    strips.push_back({first, n});
    first += n;
  }
  return strips;
}

// Lanes that the tail of a strip wastes, for each that is used.
double waste(const std::vector<Strip>& strips, int64_t columns, int lanes) {
  return static_cast<double>(strips.size()) * lanes / static_cast<double>(columns) - 1.0;
}

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

}  // namespace

Cuts choose_cuts(const Factor& left, const Factor& right, const std::vector<int32_t>& out_runs,
                 const TileOps& ops) {
  const int64_t rows = static_cast<int64_t>(left.lines().size());
  const int64_t columns = static_cast<int64_t>(right.lines().size());
  const int64_t terms = static_cast<int64_t>(left.terms().size());
  Cuts cuts{};
  const int64_t panels = ceil_div(rows, ops.rows);
  for (int64_t p = 0; p < panels; ++p) {
    const int64_t first = rows * p / panels;
    cuts.panels.push_back({first, static_cast<int>(rows * (p + 1) / panels - first)});
  }

  const std::vector<int32_t> no_ends(columns, ops.lanes);
  const double dense_waste = waste(cut(columns, no_ends, ops.lanes), columns, ops.lanes);
  const double packing = kPackingWork / static_cast<double>(rows);
  auto choose = [&](const std::vector<int32_t>& runs, double allowed) {
    std::vector<Strip> strips = cut(columns, runs, ops.lanes);
    if (waste(strips, columns, ops.lanes) > dense_waste + allowed) return false;
    cuts.strips = std::move(strips);
    return true;
  };
  std::vector<int32_t> both(columns);
  for (int64_t j = 0; j < columns; ++j) both[j] = std::min(out_runs[j], right.line_runs()[j]);
  const bool may_stay = right.is_copied() || panels <= kFewPanels;
  const bool in_place = may_stay && (choose(both, packing) || choose(right.line_runs(), packing));
  if (!in_place && !choose(out_runs, packing / 2)) choose(no_ends, 0.0);
  cuts.direct = true;
  for (const Strip& strip : cuts.strips) {
    cuts.in_place.push_back(in_place && (right.is_copied() || strip.lanes == ops.lanes));
    cuts.direct = cuts.direct && out_runs[strip.first] >= strip.lanes;
  }

  const int64_t line = ops.vectors * ops.lanes + ops.row_strip;
  const int64_t most = std::clamp<int64_t>(cache_size(1, 32768) / 4 / line, 128, 512);
  cuts.depth = ceil_div(terms, ceil_div(terms, in_place ? 2 * most : most));
  const int64_t panel = cuts.depth * ops.row_strip * 4;
  cuts.job_panels = std::max<int64_t>(cache_size(2, 524288) / 2 / panel, 4);
  return cuts;
}

Grid choose_grid(const Cuts& cuts, int64_t batches, int threads) {
  const int64_t panels = static_cast<int64_t>(cuts.panels.size());
  const int64_t strips = static_cast<int64_t>(cuts.strips.size());
  Grid grid{ceil_div(panels, cuts.job_panels), 1};
  auto job_rows = [&] { return ceil_div(panels, grid.row_parts) * cuts.panels.back().lanes; };
  auto job_columns = [&] { return ceil_div(strips, grid.column_parts) * cuts.strips[0].lanes; };
  while (!cuts.direct && job_rows() * job_columns() > kMostResting && grid.column_parts < strips) {
    ++grid.column_parts;
  }
  // Every thread needs a job, and a few more each even out what disturbs some of them.
  while (threads > 1) {
    const int64_t jobs = batches * grid.row_parts * grid.column_parts;
    const bool can_cut_rows = grid.row_parts < panels;
    const bool can_cut_columns = grid.column_parts < strips;
    const bool large = std::max(job_rows(), job_columns()) >= 2 * kWorthMoreJobs;
    if (jobs >= (large ? 3 * threads : threads) || !(can_cut_rows || can_cut_columns)) break;
    const bool rows = can_cut_rows && (job_rows() >= job_columns() || !can_cut_columns);
    ++(rows ? grid.row_parts : grid.column_parts);
  }
  return grid;
}

}  // namespace pinpoint
