#include "runs.h"

#include <algorithm>

namespace pinpoint {
namespace {

constexpr int64_t kShortRun = 16;
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
  short_runs = dims_.size() > 1 && dims_.back() < kShortRun;
  scattered = short_runs && channels_ == 1;
}

void AffineRuns::begin(int64_t start, int n) {
  runs.clear();
  values.clear();
  lanes = n;
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
    if (scattered) {
      for (int t = 0; t < length; ++t) {
        offsets[lane + t] = static_cast<int32_t>(sum[0] + t * inner);
      }
    } else {
      runs.push_back({sum[0], lane, length});
      values.insert(values.end(), sum + 1, sum + channels_);
    }
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

}  // namespace pinpoint
