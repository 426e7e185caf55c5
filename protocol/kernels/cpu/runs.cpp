#include "runs.h"

#include <algorithm>

namespace pinpoint {
namespace {

constexpr int64_t kShortRun = 16;
constexpr size_t kTableEnough = 4 * kBlock;  // most blocks then need one piece of the table
constexpr int64_t kTableMost = 1 << 16;
constexpr int kMaxChannels = 1 + kMaxAxes;

}  // namespace

Space::Space(const Node& node, std::vector<int> varying) : coordinates(std::move(varying)) {
  points = 1;
  for (int c : coordinates) {
    dims.push_back(node.dimension(c));
    points *= dims.back();
  }
}

AffineRuns::AffineRuns(const Space& space, const int64_t* stride_of_coordinate,
                       const std::vector<const int64_t*>& further)
    : channels_(1 + static_cast<int>(further.size())) {
  auto add = [&](int64_t dim, const int64_t* stride) {
    dims_.push_back(dim);
    strides_.insert(strides_.end(), stride, stride + channels_);
  };
  for (size_t i = 0; i < space.dims.size(); ++i) {
    int64_t dim = space.dims[i];
    if (dim == 1) continue;
    int c = space.coordinates[i];
    int64_t stride[kMaxChannels] = {stride_of_coordinate[c]};
    for (size_t k = 0; k < further.size(); ++k) stride[1 + k] = further[k][c];
    bool merges = !dims_.empty();
    for (int channel = 0; merges && channel < channels_; ++channel) {
      merges = strides_[strides_.size() - channels_ + channel] == stride[channel] * dim;
    }
    if (merges) {
      dims_.back() *= dim;
      std::copy_n(stride, channels_, strides_.end() - channels_);
    } else {
      add(dim, stride);
    }
  }
  const int64_t none[kMaxChannels] = {};
  if (dims_.empty()) add(1, none);
  inner = stride(0, dims_.size() - 1);
  for (int channel = 1; channel < channels_; ++channel) {
    inner_values.push_back(stride(channel, dims_.size() - 1));
  }
  row = dims_.back();
  scattered = channels_ == 1 && dims_.size() > 1 && row < kShortRun;
  if (scattered) make_table();
}

void AffineRuns::make_table() {
  table_.assign(1, 0);
  table_from_ = dims_.size();
  while (table_from_ > 0 && table_.size() < kTableEnough &&
         static_cast<int64_t>(table_.size()) * dims_[table_from_ - 1] <= kTableMost) {
    --table_from_;
    std::vector<int32_t> next;
    next.reserve(table_.size() * dims_[table_from_]);
    for (int64_t i = 0; i < dims_[table_from_]; ++i) {
      int32_t base = static_cast<int32_t>(i * strides_[table_from_]);
      for (int32_t offset : table_) next.push_back(base + offset);
    }
    table_ = std::move(next);
  }
}

void AffineRuns::scatter(int64_t start, int n) {
  const int64_t period = static_cast<int64_t>(table_.size());
  for (int lane = 0; lane < n;) {
    int64_t rest = start / period;
    const int64_t first = start % period;
    int32_t base = 0;
    for (size_t i = table_from_; i-- > 0; rest /= dims_[i]) {
      base += static_cast<int32_t>(rest % dims_[i] * strides_[i]);
    }
    const int length = static_cast<int>(std::min<int64_t>(n - lane, period - first));
    for (int t = 0; t < length; ++t) offsets[lane + t] = base + table_[first + t];
    lane += length;
    start += length;
  }
}

void AffineRuns::begin(int64_t start, int n) {
  runs.clear();
  values.clear();
  lanes = n;
  if (scattered) {
    scatter(start, n);
    return;
  }
  int64_t at[kMaxCoordinates];
  int64_t sum[kMaxChannels] = {};
  const int last = static_cast<int>(dims_.size()) - 1;
  auto step = [&](int dimension, int64_t count) {
    for (int channel = 0; channel < channels_; ++channel) {
      sum[channel] += count * stride(channel, dimension);
    }
  };
  for (int i = last; i >= 0; --i) {
    at[i] = start % dims_[i];
    start /= dims_[i];
    step(i, at[i]);
  }
  for (int lane = 0; lane < n;) {
    int length = static_cast<int>(std::min<int64_t>(n - lane, dims_[last] - at[last]));
    runs.push_back({sum[0], lane, length});
    values.insert(values.end(), sum + 1, sum + channels_);
    lane += length;
    if (lane == n) break;
    // The run ended a row: go to the start of the next one.
    step(last, -at[last]);
    at[last] = 0;
    for (int i = last - 1; i >= 0; --i) {
      step(i, 1);
      if (++at[i] < dims_[i]) break;
      step(i, -dims_[i]);
      at[i] = 0;
    }
  }
}

void clip(int64_t value, int64_t step, int64_t size, int64_t* first, int64_t* last) {
  if (step == 0) {
    if (value < 0 || value >= size) *first = *last;
    return;
  }
  if (step < 0) {  // mirror: size-1-value rises by -step
    value = size - 1 - value;
    step = -step;
  }
  // value + t * step >= 0 from t = ceil(-value / step) on, and < size up to ceil((size - value) /
  // step).
  if (value < 0) *first = std::max(*first, (-value + step - 1) / step);
  *last = std::min(*last, value >= size ? 0 : (size - value + step - 1) / step);
  *first = std::min(*first, *last);
}

}  // namespace pinpoint
