#include "padded_copy.h"

#include <algorithm>
#include <cstring>

namespace pinpoint {
namespace {

int64_t coef_of(const Parts& parts, const Axis& axis, int coordinate) {
  for (const Part& part : parts) {
    if (part.coordinate == coordinate) return axis.coordinate_coef[coordinate] * part.step;
  }
  return 0;
}

int64_t extent_of(const Axis& axis, const Parts& lines, const Parts& terms) {
  const Range a = range_of(lines, axis.coordinate_coef);
  const Range b = range_of(terms, axis.coordinate_coef);
  return a.high - a.low + b.high - b.low + 1;
}

}  // namespace

int64_t padded_volume(const Load& load, const Parts& lines, const Parts& terms, int64_t limit) {
  int64_t volume = 1;
  for (const Axis& axis : load.axes) {
    const int64_t extent = extent_of(axis, lines, terms);
    if (extent >= limit || volume > limit / extent) return limit;
    volume *= extent;
  }
  return std::min(volume, limit);
}

bool PaddedCopy::can_be_lane(const Load& load, const Parts& lines, const Parts& terms, int lane) {
  int axes = 0;
  for (const Axis& axis : load.axes) {
    const int64_t step = coef_of(lines, axis, lane);
    if (step == 0) continue;
    ++axes;
    if (step < 0 || step > 16 || coef_of(terms, axis, lane) != 0) return false;
    for (const Part& part : lines) {
      if (axis.coordinate_coef[part.coordinate] * part.step % step != 0) return false;
    }
  }
  return axes == 1;
}

PaddedCopy::PaddedCopy(const Load& load, const Parts& batch, const Parts& lines,
                       const Parts& terms, int lane, const TileOps& ops)
    : ops_(ops), fill_(load.fill), offset_(static_cast<int64_t>(load.offset)) {
  // The axis of the lane comes last.
  std::vector<const Axis*> axes;
  for (const Axis& axis : load.axes) axes.push_back(&axis);
  std::stable_partition(axes.begin(), axes.end(), [&](const Axis* axis) {
    return lane < 0 || coef_of(lines, *axis, lane) == 0;
  });
  for (const Axis* axis : axes) {
    const Range a = range_of(lines, axis->coordinate_coef);
    const Range b = range_of(terms, axis->coordinate_coef);
    const int64_t step = lane < 0 ? 0 : coef_of(lines, *axis, lane);
    const int64_t phases = std::max<int64_t>(step, 1);
    const int64_t extent = (extent_of(*axis, lines, terms) + phases - 1) / phases * phases;
    sides_.push_back({axis->size, axis->divisor, static_cast<int64_t>(axis->stride),
                      axis->constant + a.low + b.low, offsets_of(batch, axis->coordinate_coef),
                      extent, phases, 0});
  }
  volume_ = 1;
  for (size_t i = sides_.size(); i-- > 0;) {
    sides_[i].pitch = volume_;
    volume_ *= sides_[i].extent;
  }
  lines_.assign(points_of(lines), 0);
  terms_.assign(points_of(terms), 0);
  for (size_t i = 0; i < axes.size(); ++i) {
    auto add = [&](const Parts& parts, Offsets& offsets) {
      const int64_t low = range_of(parts, axes[i]->coordinate_coef).low;
      const Offsets values = offsets_of(parts, axes[i]->coordinate_coef);
      for (size_t j = 0; j < values.size(); ++j) offsets[j] += sides_[i].place(values[j] - low);
    };
    add(lines, lines_);
    add(terms, terms_);
  }
}

void PaddedCopy::make(float* copy, const float* operand, int64_t batch) const {
  int64_t values[kMaxAxes];
  for (size_t i = 0; i < sides_.size(); ++i) values[i] = sides_[i].low + sides_[i].batch[batch];
  copy_side(0, copy, operand + offset_, values);
}

PaddedCopy::Span PaddedCopy::span(const Side& side, int64_t value) const {
  const int64_t first = std::clamp<int64_t>(-value, 0, side.extent);
  return {first, std::clamp<int64_t>(side.size - value, first, side.extent)};
}

bool PaddedCopy::turns() const {
  const size_t n = sides_.size();
  if (n < 2) return false;
  const Side& row = sides_[n - 2];
  const Side& lane = sides_[n - 1];
  return row.stride == 1 && row.divisor == 1 && row.phases == 1 && lane.stride != 1 &&
         lane.divisor == 1 && lane.phases == 1;
}

void PaddedCopy::copy_side(size_t number, float* to, const float* from,
                           const int64_t* values) const {
  if (number == sides_.size()) {
    *to = *from;
    return;
  }
  if (number + 1 == sides_.size()) {
    copy_row(to, from, values[number]);
    return;
  }
  if (number + 2 == sides_.size() && turns()) {
    copy_turned(to, from, values + number);
    return;
  }
  const Side& side = sides_[number];
  for (int64_t u = 0; u < side.extent; ++u) {
    const int64_t value = values[number] + u;
    const int64_t coordinate = value / side.divisor;
    float* part = to + side.place(u);
    if (value < 0 || value % side.divisor != 0 || coordinate >= side.size) {
      fill(part, side.pitch);
    } else {
      copy_side(number + 1, part, from + side.stride * coordinate, values);
    }
  }
}

// The last axis.
void PaddedCopy::copy_row(float* to, const float* from, int64_t value) const {
  const Side& side = sides_.back();
  if (side.divisor == 1 && side.phases == 1) {
    const Span in = span(side, value);
    if (in.first == in.last) {
      fill(to, side.extent);
      return;
    }
    fill(to, in.first);
    const float* source = from + side.stride * (value + in.first);
    if (side.stride == 1) {
      std::memcpy(to + in.first, source, sizeof(float) * (in.last - in.first));
    } else {
      for (int64_t u = in.first; u < in.last; ++u) to[u] = source[side.stride * (u - in.first)];
    }
    fill(to + in.last, side.extent - in.last);
    return;
  }
  float* phase = to;
  for (int64_t p = 0; p < side.phases; ++p, phase += side.extent / side.phases) {
    for (int64_t q = 0; q < side.extent / side.phases; ++q) {
      const int64_t at = value + q * side.phases + p;
      const int64_t coordinate = at / side.divisor;
      if (at < 0 || at % side.divisor != 0 || coordinate >= side.size) {
        std::memcpy(phase + q, &fill_, sizeof(float));
      } else {
        phase[q] = from[side.stride * coordinate];
      }
    }
  }
}

// The last two axes, of which the operand's neighbours are in the first and the copy's in the
// second.
void PaddedCopy::copy_turned(float* to, const float* from, const int64_t* values) const {
  const Side& row = sides_[sides_.size() - 2];
  const Side& lane = sides_.back();
  const Span in = span(row, values[0]);
  const Span lanes = span(lane, values[1]);
  if (in.first == in.last || lanes.first == lanes.last) {
    fill(to, row.extent * row.pitch);
    return;
  }
  fill(to, in.first * row.pitch);
  fill(to + in.last * row.pitch, (row.extent - in.last) * row.pitch);
  for (int64_t u = in.first; u < in.last && lanes.last - lanes.first < lane.extent; ++u) {
    fill(to + u * row.pitch, lanes.first);
    fill(to + u * row.pitch + lanes.last, lane.extent - lanes.last);
  }
  for (int64_t t = lanes.first; t < lanes.last; t += ops_.lanes) {
    const int n = static_cast<int>(std::min<int64_t>(ops_.lanes, lanes.last - t));
    int64_t lines[kMaxStrip];
    for (int i = 0; i < n; ++i) lines[i] = lane.stride * (values[1] + t + i);
    ops_.pack_terms(to + in.first * row.pitch + t, row.pitch, from + values[0] + in.first, lines, n,
                    in.last - in.first);
  }
}

void PaddedCopy::fill(float* to, int64_t count) const {
  float word;
  std::memcpy(&word, &fill_, sizeof(word));
  std::fill_n(to, count, word);
}

}  // namespace pinpoint
