#include "pack.h"

#include <algorithm>
#include <cstring>

namespace pinpoint {
namespace {

constexpr int kMaxWidth = 32;      // lines of a panel
constexpr int64_t kWorthRuns = 8;  // lines from which finding the bounds of a run pays

std::vector<const int64_t*> checked_coefficients(const Node& node, const Plan& plan, int load) {
  std::vector<const int64_t*> coefficients;
  for (int a : plan.loads[load].checked_axes) {
    coefficients.push_back(node.loads[load].axes[a].coordinate_coef);
  }
  return coefficients;
}

}  // namespace

Offsets offsets_of(const Node& node, const std::vector<int>& coordinates, const int64_t* stride) {
  Offsets offsets{0};
  for (int c : coordinates) {
    Offsets next;
    next.reserve(offsets.size() * node.dimension(c));
    for (int64_t base : offsets) {
      for (int64_t i = 0; i < node.dimension(c); ++i) next.push_back(base + i * stride[c]);
    }
    offsets = std::move(next);
  }
  return offsets;
}

std::vector<int32_t> contiguous_runs(const Offsets& offsets) {
  std::vector<int32_t> runs(offsets.size(), 1);
  for (size_t i = offsets.size() - 1; i-- > 0;) {
    if (offsets[i] + 1 == offsets[i + 1]) runs[i] = std::min(runs[i + 1], 1 << 20) + 1;
  }
  return runs;
}

Factor::Factor(const Node& node, const Plan& plan, int load, const void* operand,
               const std::vector<int>& batch, const std::vector<int>& lines,
               const std::vector<int>& depth, const BlockOps& ops)
    : operand_(static_cast<const float*>(operand)),
      fill_(node.loads[load].fill),
      constant_(plan.loads[load].constant),
      narrow_(plan.loads[load].narrow),
      batch_(offsets_of(node, batch, plan.loads[load].stride)),
      lines_(offsets_of(node, lines, plan.loads[load].stride)),
      depth_(offsets_of(node, depth, plan.loads[load].stride)),
      runs_(contiguous_runs(lines_)),
      runs_by_line_(Space(node, lines), plan.loads[load].stride,
                    checked_coefficients(node, plan, load)),
      by_runs_(runs_by_line_.row >= kWorthRuns),
      ops_(ops) {
  for (int a : plan.loads[load].checked_axes) {
    const Axis& axis = node.loads[load].axes[a];
    const int64_t* coef = axis.coordinate_coef;
    checked_.push_back({&axis, offsets_of(node, batch, coef), offsets_of(node, lines, coef),
                        offsets_of(node, depth, coef), {}});
    const Offsets& values = checked_.back().lines;
    by_runs_ = by_runs_ && axis.divisor == 1;
    if (narrow_) checked_.back().narrow_lines.assign(values.begin(), values.end());
  }
}

void Factor::pack(float* destination, int64_t batch, int64_t first, int64_t count, int width,
                  int64_t k, int64_t depth) const {
  if (checked_.empty()) {
    pack_plain(destination, operand_ + constant_ + batch_[batch], &lines_[first], &runs_[first],
               count, width, &depth_[k], depth);
  } else {
    pack_checked(destination, batch, first, count, width, k, depth);
  }
}

void Factor::pack_plain(float* destination, const float* source, const int64_t* lines,
                        const int32_t* runs, int64_t count, int width, const int64_t* terms,
                        int64_t depth) const {
  for (int64_t first = 0; first < count; first += width, destination += width * depth) {
    int64_t n = std::min<int64_t>(width, count - first);
    if (n < width) std::fill_n(destination, width * depth, 0.0f);
    bool contiguous = runs[first] >= n;
    for (int64_t k = 0; k < depth; ++k) {
      float* to = destination + k * width;
      const float* from = source + terms[k];
      if (contiguous) {
        std::memcpy(to, from + lines[first], sizeof(float) * n);
      } else {
        for (int64_t i = 0; i < n; ++i) to[i] = from[lines[first + i]];
      }
    }
  }
}

void Factor::pack_checked(float* destination, int64_t batch, int64_t first, int64_t count,
                          int width, int64_t k, int64_t depth) const {
  const int step = kBlock / width * width;  // whole panels at a time
  AffineRuns runs = runs_by_line_;
  for (int64_t start = 0; start < count; start += step) {
    int n = static_cast<int>(std::min<int64_t>(step, count - start));
    if (by_runs_) runs.begin(first + start, n);
    for (int64_t term = 0; term < depth; ++term) {
      uint32_t words[kBlock + kMaxWidth] = {};
      if (by_runs_) {
        clip_lines(words, runs, batch, k + term);
      } else {
        pick_lines(words, batch, first + start, n, k + term);
      }
      for (int t = 0; t < n; t += width) {
        float* panel = destination + (start + t) * depth;
        std::memcpy(panel + term * width, words + t, sizeof(float) * width);
      }
    }
  }
}

void Factor::clip_lines(uint32_t* words, const AffineRuns& runs, int64_t batch, int64_t k) const {
  const uint32_t* operand = reinterpret_cast<const uint32_t*>(operand_);
  const size_t axes = checked_.size();
  uint64_t base = static_cast<uint64_t>(constant_ + batch_[batch] + depth_[k]);
  uint64_t distance = static_cast<uint64_t>(runs.inner);  // modulo 2^64, as in Block::load_clipped
  int64_t value[kMaxAxes];
  for (size_t i = 0; i < axes; ++i) {
    const Checked& checked = checked_[i];
    value[i] = checked.axis->constant + checked.batch[batch] + checked.depth[k];
    distance += checked.axis->stride * static_cast<uint64_t>(runs.inner_values[i]);
  }
  for (size_t r = 0; r < runs.runs.size(); ++r) {
    const AffineRuns::Run& run = runs.runs[r];
    int64_t first = 0;
    int64_t last = run.length;
    uint64_t address = base + static_cast<uint64_t>(run.address);
    for (size_t i = 0; i < axes; ++i) {
      int64_t coordinate = value[i] + runs.values[r * axes + i];
      clip(coordinate, runs.inner_values[i], checked_[i].axis->size, &first, &last);
      address += checked_[i].axis->stride * static_cast<uint64_t>(coordinate);
    }
    uint32_t* to = words + run.lane;
    for (int64_t t = 0; t < first; ++t) to[t] = fill_;
    if (last > first) {
      const uint32_t* from = operand + (address + distance * first);
      const int64_t inner = static_cast<int64_t>(distance);
      if (inner == 1) {
        std::memcpy(to + first, from, sizeof(uint32_t) * (last - first));
      } else {
        for (int64_t t = first; t < last; ++t) to[t] = from[(t - first) * inner];
      }
    }
    for (int64_t t = last; t < run.length; ++t) to[t] = fill_;
  }
}

void Factor::pick_lines(uint32_t* words, int64_t batch, int64_t first, int n, int64_t k) const {
  uint32_t address[kBlock];  // modulo 2^32: exact where the load is in bounds
  uint32_t in_bounds[kBlock];
  int64_t value[kBlock];
  int64_t base = constant_ + batch_[batch] + depth_[k];
  for (int t = 0; t < n; ++t) address[t] = static_cast<uint32_t>(base + lines_[first + t]);
  std::fill_n(in_bounds, n, 1u);
  for (const Checked& checked : checked_) {
    const Axis& axis = *checked.axis;
    int64_t scalar = axis.constant + checked.batch[batch] + checked.depth[k];
    const void* line = &checked.lines[first];
    if (narrow_) line = &checked.narrow_lines[first];
    ops_.shift(narrow_, value, line, scalar, n);
    ops_.check_axis(narrow_, value, axis.divisor, axis.size, axis.stride, address, in_bounds, n);
  }
  ops_.pick(words, reinterpret_cast<const uint32_t*>(operand_), address, in_bounds, fill_, n);
}

}  // namespace pinpoint
