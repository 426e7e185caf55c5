#include "padded_copy.h"

#include <algorithm>
#include <cstring>

#include "runs.h"

namespace pinpoint {
namespace {

int64_t coef_of(const Parts& parts, const Axis& axis, int coordinate) {
  for (const Part& part : parts) {
    if (part.coordinate == coordinate) return axis.coordinate_coef[coordinate] * part.step;
  }
  return 0;
}

constexpr int64_t kAhead = 1024;  // words that a copy fetches before it needs them

// Rows are short: calls of the library's functions would take longer than their work.
void fill_few(float* to, int64_t count, float word) {
  for (int64_t i = 0; i < count; ++i) to[i] = word;
}

// to[i] = from[i * step]
void copy_few(float* __restrict to, const float* __restrict from, int64_t count, int64_t step,
              const TileOps& ops) {
  if (step == 2) {
    ops.copy_evens(to, from, count);
    return;
  }
  if (step != 1) {
    for (int64_t i = 0; i < count; ++i) to[i] = from[i * step];
    return;
  }
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) std::memcpy(to + i, from + i, 8 * sizeof(float));
  for (; i < count; ++i) to[i] = from[i];
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

PaddedCopy::PaddedCopy(const Load& load, const Parts& batch, const Parts& lines, const Parts& terms,
                       int lane, const TileOps& ops)
    : ops_(ops), offset_(static_cast<int64_t>(load.offset)) {
  std::memcpy(&fill_, &load.fill, sizeof(fill_));
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
  copy_side(0, copy, operand + offset_, batch_of(batch));
}

PaddedCopy::Batch PaddedCopy::batch_of(int64_t number) const {
  Batch batch{};
  for (size_t i = 0; i < sides_.size(); ++i) {
    batch.values[i] = sides_[i].low + sides_[i].batch[number];
  }
  if (sides_.empty()) return batch;
  const Side& side = sides_.back();
  const int64_t value = batch.values[sides_.size() - 1];
  batch.step = side.size == 1 ? 0 : side.stride * side.phases;
  for (int64_t phase = 0; phase < side.phases; ++phase) {
    batch.spans.push_back(span(side, value, phase));
    const Span& in = batch.spans.back();
    const bool any = in.first < in.last;
    batch.from.push_back(any ? side.stride * (value + in.first * side.phases + phase) : 0);
  }
  return batch;
}

// The places of a phase that are in bounds, if the divisor is 1.
PaddedCopy::Span PaddedCopy::span(const Side& side, int64_t value, int64_t phase) const {
  Span in{0, side.length()};
  clip(value + phase, side.phases, side.size, &in.first, &in.last);
  return in;
}

bool PaddedCopy::turns() const {
  const size_t n = sides_.size();
  if (n < 2) return false;
  const Side& row = sides_[n - 2];
  const Side& lane = sides_[n - 1];
  return row.stride == 1 && row.divisor == 1 && row.phases == 1 && lane.stride != 1 &&
         lane.divisor == 1 && lane.phases == 1;
}

void PaddedCopy::copy_side(size_t number, float* to, const float* from, const Batch& batch) const {
  if (number == sides_.size()) {
    *to = *from;
    return;
  }
  if (number + 1 == sides_.size()) {
    if (sides_.back().divisor == 1) {
      std::fill_n(to, sides_.back().extent, fill_);
      copy_inside(to, from, batch);
    } else {
      copy_divided_row(to, from, batch);
    }
    return;
  }
  if (number + 2 == sides_.size() && turns()) {
    copy_turned(to, from, batch);
    return;
  }
  if (number + 2 == sides_.size() && sides_[number].divisor == 1 && sides_.back().divisor == 1) {
    copy_plane(to, from, batch);
    return;
  }
  const Side& side = sides_[number];
  for (int64_t u = 0; u < side.extent; ++u) {
    const int64_t value = batch.values[number] + u;
    const int64_t coordinate = side.divisor == 1 ? value : value / side.divisor;
    float* part = to + side.place(u);
    if (value < 0 || coordinate >= side.size || coordinate * side.divisor != value) {
      std::fill_n(part, side.pitch, fill_);
    } else {
      copy_side(number + 1, part, from + side.stride * coordinate, batch);
    }
  }
}

// The last two sides, in the order of the operand.
void PaddedCopy::copy_plane(float* to, const float* from, const Batch& batch) const {
  const Side& row = sides_[sides_.size() - 2];
  const int64_t first = batch.values[sides_.size() - 2];
  const int64_t begin = std::clamp<int64_t>(-first, 0, row.extent);
  const int64_t end = std::clamp<int64_t>(row.size - first, begin, row.extent);
  std::fill_n(to, row.extent * row.pitch, fill_);
  for (int64_t u = begin; u < end; ++u) {
    const float* line = from + row.stride * (first + u);
    for (int64_t i = 0; i < row.pitch; i += 16) __builtin_prefetch(line + kAhead + i);
    copy_inside(to + row.place(u), line, batch);
  }
}

// What is in bounds of the last side, phase by phase.
void PaddedCopy::copy_inside(float* to, const float* from, const Batch& batch) const {
  const int64_t length = sides_.back().length();
  for (size_t phase = 0; phase < batch.spans.size(); ++phase, to += length) {
    const Span& in = batch.spans[phase];
    copy_few(to + in.first, from + batch.from[phase], in.last - in.first, batch.step, ops_);
  }
}

void PaddedCopy::copy_divided_row(float* to, const float* from, const Batch& batch) const {
  const Side& side = sides_.back();
  for (int64_t u = 0; u < side.extent; ++u) {
    const int64_t value = batch.values[sides_.size() - 1] + u;
    const int64_t coordinate = value / side.divisor;
    const bool in = value >= 0 && coordinate < side.size && coordinate * side.divisor == value;
    to[side.place(u)] = in ? from[side.stride * coordinate] : fill_;
  }
}

// The last two sides, of which the operand's neighbours are in the first and the copy's in the
// second.
void PaddedCopy::copy_turned(float* to, const float* from, const Batch& batch) const {
  const Side& row = sides_[sides_.size() - 2];
  const int64_t first_row = batch.values[sides_.size() - 2];
  const Span in = span(row, first_row, 0);
  const Span& lanes = batch.spans[0];
  if (in.first == in.last || lanes.first == lanes.last) {
    std::fill_n(to, row.extent * row.pitch, fill_);
    return;
  }
  std::fill_n(to, in.first * row.pitch, fill_);
  std::fill_n(to + in.last * row.pitch, (row.extent - in.last) * row.pitch, fill_);
  for (int64_t u = in.first; u < in.last; ++u) {
    fill_few(to + u * row.pitch, lanes.first, fill_);
    fill_few(to + u * row.pitch + lanes.last, row.pitch - lanes.last, fill_);
  }
  for (int64_t t = lanes.first; t < lanes.last; t += ops_.lanes) {
    const int n = static_cast<int>(std::min<int64_t>(ops_.lanes, lanes.last - t));
    int64_t lines[kMaxStrip];
    for (int i = 0; i < n; ++i) lines[i] = batch.from[0] + batch.step * (t + i - lanes.first);
    ops_.pack_terms(to + in.first * row.pitch + t, row.pitch, n, from + first_row + in.first, lines,
                    n, in.last - in.first);
  }
}

}  // namespace pinpoint
