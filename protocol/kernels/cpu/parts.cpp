#include "parts.h"

#include <algorithm>

namespace pinpoint {

int64_t points_of(const Parts& parts) {
  int64_t points = 1;
  for (const Part& part : parts) points *= part.dim;
  return points;
}

Offsets offsets_of(const Parts& parts, const int64_t* coef) {
  Offsets offsets{0};
  for (const Part& part : parts) {
    const int64_t stride = coef[part.coordinate] * part.step;
    Offsets next;
    next.reserve(offsets.size() * part.dim);
    for (int64_t base : offsets) {
      for (int64_t i = 0; i < part.dim; ++i) next.push_back(base + i * stride);
    }
    offsets = std::move(next);
  }
  return offsets;
}

Range range_of(const Parts& parts, const int64_t* coef) {
  Range range{0, 0};
  for (const Part& part : parts) {
    const int64_t reach = coef[part.coordinate] * part.step * (part.dim - 1);
    (reach < 0 ? range.low : range.high) += reach;
  }
  return range;
}

std::vector<int32_t> runs_of(const Offsets& offsets, int64_t step) {
  std::vector<int32_t> runs(offsets.size(), 1);
  for (size_t i = offsets.size() - 1; i-- > 0;) {
    if (offsets[i] + step == offsets[i + 1]) runs[i] = std::min(runs[i + 1], 1 << 20) + 1;
  }
  return runs;
}

}  // namespace pinpoint
