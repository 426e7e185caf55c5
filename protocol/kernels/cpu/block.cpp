#include "block.h"

#include <algorithm>
#include <cstring>

namespace pinpoint {
namespace {

constexpr int kCacheLineWords = 16;
constexpr int kBufferWords = kBlock + kCacheLineWords;  // neighbours do not alias modulo 4 KiB
constexpr int64_t kShortRun = 16;

// Like BlockOps::count, for values that stay the same over many lanes.
void count_long(uint32_t* lane, int64_t start, int64_t period, int64_t dim, int n) {
  int64_t value = start / period % dim;
  int64_t left = period - start % period;
  for (int t = 0; t < n;) {
    int length = static_cast<int>(std::min<int64_t>(n - t, left));
    std::fill_n(lane + t, length, static_cast<uint32_t>(value));
    t += length;
    left = period;
    if (++value == dim) value = 0;
  }
}

}  // namespace

Block::Block(const Plan& plan, const Space& space, const BlockOps& ops, const void* const* operands,
             bool check_guards)
    : plan_(plan), space_(space), ops_(ops), operands_(operands), check_guards_(check_guards) {
  const Node& node = plan.node;
  // Each buffer starts at a cache line: a vector across two lines costs twice.
  const size_t words = static_cast<size_t>(plan.buffers + 1) * kBufferWords;
  storage_.reset(new uint32_t[words + kCacheLineWords]());
  uint32_t* first = storage_.get();
  while (reinterpret_cast<uintptr_t>(first) % (4 * kCacheLineWords) != 0) ++first;
  for (int i = 0; i < plan.buffers; ++i) own_.push_back(first + i * kBufferWords);
  mask_ = first + plan.buffers * kBufferWords;
  buffers_ = own_;
  for (size_t i = 0; i < node.constants.size(); ++i) {
    std::fill_n(own_[node.first_constant() + i], kBufferWords, node.constants[i]);
  }
  for (int c : space.coordinates) varies_[c] = true;
  for (int c = 0; c < node.coordinates(); ++c) coordinate_needed_[c] = plan.coordinate_used[c];
  if (check_guards) {
    for (const Guard& guard : node.guards) coordinate_needed_[guard.coordinate] = true;
  }

  for (size_t k = 0; k < node.loads.size(); ++k) {
    const LoadPlan& load = plan.loads[k];
    bool clipped = !load.checked_axes.empty();
    std::vector<const int64_t*> sums;
    for (int a : load.checked_axes) {
      const Axis& axis = node.loads[k].axes[a];
      clipped = clipped && !axis.uses_words && axis.divisor == 1;
      sums.push_back(axis.coordinate_coef);
    }
    runs_.emplace_back(space, load.stride, sums);
    if (!clipped || runs_.back().row < kShortRun) {
      clipped = false;
      runs_.back() = AffineRuns(space, load.stride);
    }
    clipped_.push_back(clipped);
    axis_values_.emplace_back(load.checked_axes.size() * kBlock);
    bool fixed = load.checked_axes.empty();
    for (int c = 0; c < node.coordinates(); ++c) {
      if (!varies_[c] && load.stride[c] != 0) fixed = false;
      for (int a : load.checked_axes) {
        if (node.loads[k].axes[a].coordinate_coef[c] != 0) coordinate_needed_[c] = true;
      }
    }
    fixed_.push_back(fixed);
  }
  loaded_.resize(node.loads.size());
  direct_ = plan.dependent;
  if (!direct_.empty()) direct_.back().destination = 0;
}

void Block::begin(int64_t start, int n) {
  n_ = n;
  const Node& node = plan_.node;
  int64_t period = 1;
  for (int i = static_cast<int>(space_.dims.size()) - 1; i >= 0; --i) {
    int c = space_.coordinates[i];
    int64_t dim = space_.dims[i];
    if (coordinate_needed_[c]) {
      uint32_t* lane = own_[node.first_coordinate() + c];
      if (period < kShortRun) {
        ops_.count(lane, start, period, dim, n);
      } else {
        count_long(lane, start, period, dim, n);
      }
    }
    period *= dim;
  }
  for (size_t k = 0; k < node.loads.size(); ++k) {
    if (!plan_.loads[k].needed) continue;
    runs_[k].begin(start, n);
    loaded_[k] = false;
    if (clipped_[k]) continue;
    for (size_t i = 0; i < plan_.loads[k].checked_axes.size(); ++i) {
      const Axis& axis = node.loads[k].axes[plan_.loads[k].checked_axes[i]];
      int64_t* value = &axis_values_[k][i * kBlock];
      std::fill_n(value, n, 0);
      for (int c : space_.coordinates) {
        if (axis.coordinate_coef[c] == 0) continue;
        ops_.add_word(plan_.loads[k].narrow, value, own_[node.first_coordinate() + c],
                      axis.coordinate_coef[c], n);
      }
    }
  }
}

Live Block::load(const int64_t* coordinates) {
  const Node& node = plan_.node;
  for (int c = 0; c < node.coordinates(); ++c) {
    if (varies_[c] || !coordinate_needed_[c]) continue;
    uint32_t* lane = own_[node.first_coordinate() + c];
    uint32_t value = static_cast<uint32_t>(coordinates[c]);
    if (lane[0] != value || lane[kBlock - 1] != value) std::fill_n(lane, kBufferWords, value);
  }
  if (plan_.masked) std::fill_n(mask_, n_, 1u);
  for (size_t k = 0; k < node.loads.size(); ++k) {
    if (!plan_.loads[k].needed) continue;
    if (plan_.loads[k].checked_axes.empty()) {
      load_affine(static_cast<int>(k), coordinates);
    } else if (clipped_[k]) {
      load_clipped(static_cast<int>(k), coordinates);
    } else {
      load_checked(static_cast<int>(k), coordinates);
    }
  }
  if (!plan_.masked) return Live::All;
  if (check_guards_) {
    for (const Guard& guard : node.guards) {
      const uint32_t* word = buffers_[1 + guard.load];
      const uint32_t* coordinate = buffers_[node.first_coordinate() + guard.coordinate];
      for (int t = 0; t < n_; ++t) mask_[t] &= word[t] == coordinate[t] ? 1u : 0u;
    }
  }
  int alive = 0;
  for (int t = 0; t < n_; ++t) alive += static_cast<int>(mask_[t]);
  return alive == 0 ? Live::None : alive == n_ ? Live::All : Live::Some;
}

void Block::advance(Live live) {
  ops_.run(plan_.independent.data(), static_cast<int>(plan_.independent.size()), buffers_.data(),
           n_);
  uint32_t* accumulator = buffers_[0];
  if (live == Live::All && !direct_.empty()) {
    ops_.run(direct_.data(), static_cast<int>(direct_.size()), buffers_.data(), n_);
    return;
  }
  ops_.run(plan_.dependent.data(), static_cast<int>(plan_.dependent.size()), buffers_.data(), n_);
  if (plan_.result == 0) return;
  if (live == Live::All) {
    std::memcpy(accumulator, buffers_[plan_.result], sizeof(uint32_t) * n_);
  } else {
    ops_.blend(accumulator, buffers_[plan_.result], mask_, n_);
  }
}

void Block::copy_runs(uint32_t* to, const AffineRuns& runs, DType dtype, const void* from) const {
  if (runs.scattered && dtype == DType::U8) {
    ops_.gather_u8(to, static_cast<const uint8_t*>(from), runs.offsets, n_);
  } else if (runs.scattered) {
    ops_.gather(to, static_cast<const uint32_t*>(from), runs.offsets, n_);
  }
  for (const AffineRuns::Run& run : runs.runs) {
    copy_run(to + run.lane, run.length, runs.inner, dtype,
             static_cast<const uint8_t*>(from) + run.address * width_of(dtype));
  }
}

void Block::copy_run(uint32_t* to, int length, int64_t inner, DType dtype, const void* from) const {
  if (dtype == DType::U8) {
    const uint8_t* bytes = static_cast<const uint8_t*>(from);
    for (int t = 0; t < length; ++t) to[t] = bytes[t * inner];
    return;
  }
  const uint32_t* words = static_cast<const uint32_t*>(from);
  if (inner == 1) {
    std::memcpy(to, words, sizeof(uint32_t) * length);
  } else if (inner == 0) {
    std::fill_n(to, length, words[0]);
  } else {
    ops_.gather_strided(to, words, inner, length);
  }
}

int64_t Block::scalar_address(int k, const int64_t* coordinates) const {
  int64_t address = plan_.loads[k].constant;
  for (int c = 0; c < plan_.node.coordinates(); ++c) {
    if (!varies_[c]) address += plan_.loads[k].stride[c] * coordinates[c];
  }
  return address;
}

int64_t Block::scalar_value(const Axis& axis, const int64_t* coordinates) const {
  int64_t value = axis.constant;
  for (int c = 0; c < plan_.node.coordinates(); ++c) {
    if (!varies_[c]) value += axis.coordinate_coef[c] * coordinates[c];
  }
  return value;
}

void Block::load_affine(int k, const int64_t* coordinates) {
  if (fixed_[k] && loaded_[k]) return;
  loaded_[k] = true;
  int64_t address = scalar_address(k, coordinates);
  DType dtype = plan_.node.load_dtype(k);
  const AffineRuns& runs = runs_[k];
  const uint8_t* from = static_cast<const uint8_t*>(operands_[plan_.node.loads[k].operand]);
  from += address * width_of(dtype);
  if (dtype != DType::U8 && !runs.scattered && runs.runs.size() == 1 && runs.inner == 1 &&
      n_ % kLanes == 0) {
    // Whole vectors side by side in memory: the body reads the operand itself (it never writes
    // there).
    const void* in_place = from + runs.runs[0].address * 4;
    buffers_[1 + k] = static_cast<uint32_t*>(const_cast<void*>(in_place));
    return;
  }
  buffers_[1 + k] = own_[1 + k];
  copy_runs(own_[1 + k], runs, dtype, from);
}

void Block::load_clipped(int k, const int64_t* coordinates) {
  const Load& load = plan_.node.loads[k];
  const std::vector<int>& axes = plan_.loads[k].checked_axes;
  const AffineRuns& runs = runs_[k];
  DType dtype = plan_.node.load_dtype(k);
  const uint8_t* from = static_cast<const uint8_t*>(operands_[load.operand]);
  int64_t start = scalar_address(k, coordinates);
  int64_t value[kMaxAxes];
  for (size_t i = 0; i < axes.size(); ++i) value[i] = scalar_value(load.axes[axes[i]], coordinates);

  // Modulo 2^64: exact for the lanes in bounds (an axis of size 1 may have any stride).
  uint64_t distance = static_cast<uint64_t>(runs.inner);
  for (size_t i = 0; i < axes.size(); ++i) {
    distance += load.axes[axes[i]].stride * static_cast<uint64_t>(runs.inner_values[i]);
  }
  const int64_t inner = static_cast<int64_t>(distance);
  buffers_[1 + k] = own_[1 + k];
  for (size_t r = 0; r < runs.runs.size(); ++r) {
    const AffineRuns::Run& run = runs.runs[r];
    int64_t first = 0;
    int64_t last = run.length;
    uint64_t address = static_cast<uint64_t>(start + run.address);
    for (size_t i = 0; i < axes.size(); ++i) {
      const Axis& axis = load.axes[axes[i]];
      int64_t coordinate = value[i] + runs.values[r * axes.size() + i];
      clip(coordinate, runs.inner_values[i], axis.size, &first, &last);
      address += axis.stride * static_cast<uint64_t>(coordinate);
    }
    uint32_t* to = own_[1 + k] + run.lane;
    if (first == 0 && last == kBlock && inner == 1 && dtype != DType::U8) {
      // The whole block lies in bounds side by side: the body reads the operand itself.
      buffers_[1 + k] =
          static_cast<uint32_t*>(const_cast<void*>(static_cast<const void*>(from + address * 4)));
      return;
    }
    std::fill_n(to, first, load.fill);
    if (last > first) {
      copy_run(to + first, static_cast<int>(last - first), inner, dtype,
               from + (address + first * distance) * width_of(dtype));
    }
    std::fill_n(to + last, run.length - last, load.fill);
    if (load.skip) {
      std::fill_n(mask_ + run.lane, first, 0u);
      std::fill_n(mask_ + run.lane + last, run.length - last, 0u);
    }
  }
}

void Block::load_checked(int k, const int64_t* coordinates) {
  const Node& node = plan_.node;
  const Load& load = node.loads[k];
  const LoadPlan& plan = plan_.loads[k];
  uint32_t address[kBlock];  // modulo 2^32: exact where the load is in bounds
  uint32_t in_bounds[kBlock];
  int64_t value[kBlock];

  int64_t start = scalar_address(k, coordinates);
  const AffineRuns& runs = runs_[k];
  if (runs.scattered) {
    ops_.shift(true, address, runs.offsets, start, n_);
  }
  for (const AffineRuns::Run& run : runs.runs) {
    uint32_t first = static_cast<uint32_t>(start + run.address);
    uint32_t inner = static_cast<uint32_t>(runs.inner);
    for (int t = 0; t < run.length; ++t) address[run.lane + t] = first + inner * t;
  }
  std::fill_n(in_bounds, n_, 1u);
  for (size_t i = 0; i < plan.checked_axes.size(); ++i) {
    const Axis& axis = load.axes[plan.checked_axes[i]];
    int64_t scalar = scalar_value(axis, coordinates);
    ops_.shift(plan.narrow, value, &axis_values_[k][i * kBlock], scalar, n_);
    for (int j = 0; j < k; ++j) {
      if (axis.word_coef[j] == 0) continue;
      ops_.add_word(plan.narrow, value, buffers_[1 + j], axis.word_coef[j], n_);
    }
    ops_.check_axis(plan.narrow, value, axis.divisor, axis.size, axis.stride, address, in_bounds,
                    n_);
  }
  const void* from = operands_[load.operand];
  if (node.load_dtype(k) == DType::U8) {
    ops_.pick_u8(own_[1 + k], static_cast<const uint8_t*>(from), address, in_bounds, load.fill, n_);
  } else {
    ops_.pick(own_[1 + k], static_cast<const uint32_t*>(from), address, in_bounds, load.fill, n_);
  }
  if (load.skip) {
    for (int t = 0; t < n_; ++t) mask_[t] &= in_bounds[t];
  }
}

}  // namespace pinpoint
