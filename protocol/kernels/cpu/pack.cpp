#include "pack.h"

#include <algorithm>
#include <cstring>

namespace pinpoint {

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
      ops_(ops) {
  for (int a : plan.loads[load].checked_axes) {
    const Axis& axis = node.loads[load].axes[a];
    const int64_t* coef = axis.coordinate_coef;
    checked_.push_back({&axis, offsets_of(node, batch, coef), offsets_of(node, lines, coef),
                        offsets_of(node, depth, coef), {}});
    const Offsets& values = checked_.back().lines;
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
  for (int64_t start = 0; start < count; start += step) {
    int n = static_cast<int>(std::min<int64_t>(step, count - start));
    for (int64_t term = 0; term < depth; ++term) {
      uint32_t address[kBlock];  // modulo 2^32: exact where the load is in bounds
      uint32_t in_bounds[kBlock];
      int64_t value[kBlock];
      uint32_t words[kBlock + 2 * kLanes] = {};
      int64_t base = constant_ + batch_[batch] + depth_[k + term];
      for (int t = 0; t < n; ++t) {
        address[t] = static_cast<uint32_t>(base + lines_[first + start + t]);
      }
      std::fill_n(in_bounds, n, 1u);
      for (const Checked& checked : checked_) {
        const Axis& axis = *checked.axis;
        int64_t scalar = axis.constant + checked.batch[batch] + checked.depth[k + term];
        const void* line = &checked.lines[first + start];
        if (narrow_) line = &checked.narrow_lines[first + start];
        ops_.shift(narrow_, value, line, scalar, n);
        ops_.check_axis(narrow_, value, axis.divisor, axis.size, axis.stride, address, in_bounds,
                        n);
      }
      ops_.pick(words, reinterpret_cast<const uint32_t*>(operand_), address, in_bounds, fill_, n);
      for (int t = 0; t < n; t += width) {
        float* panel = destination + (start + t) * depth;
        std::memcpy(panel + term * width, words + t, sizeof(float) * width);
      }
    }
  }
}

}  // namespace pinpoint
