// Addresses of consecutive lanes without a division per lane.
#pragma once

#include <vector>

#include "block_ops.h"
#include "node.h"

namespace pinpoint {

// The coordinates that vary from lane to lane, row-major; all others are the same in all lanes.
struct Space {
  Space(const Node& node, std::vector<int> varying);

  std::vector<int> coordinates;
  std::vector<int64_t> dims;
  int64_t points;
};

// sum(stride * coordinate) over a space, at consecutive points: dimensions that lie behind each
// other in memory are merged, and a block is cut into runs of constant distance. Further sums over
// the same coordinates (the checked axes of a load) may come along: they are affine within a run as
// well.
class AffineRuns {
 public:
  AffineRuns(const Space& space, const int64_t* stride_of_coordinate,
             const std::vector<const int64_t*>& further = {});
  void begin(int64_t start, int n);

  struct Run {
    int64_t address;
    int lane;
    int length;
  };
  std::vector<Run> runs;
  std::vector<int64_t> values;  // [run][further]: value at the run's first lane
  int lanes;
  int64_t inner;                      // distance of neighbouring lanes within a run
  std::vector<int64_t> inner_values;  // ... of the further sums
  bool scattered;  // short runs: there are offsets instead (never with further sums)
  int64_t row;     // lanes of a whole run
  int32_t offsets[kBlock];

 private:
  int64_t stride(int channel, size_t dimension) const {
    return strides_[dimension * channels_ + channel];
  }

  void make_table();
  void scatter(int64_t start, int n);

  int channels_;  // the address, then the further sums
  std::vector<int64_t> dims_;
  std::vector<int64_t> strides_;  // [dimension][channel]
  // Short runs only: the offsets of the points of the last dimensions, which repeat.
  std::vector<int32_t> table_;
  size_t table_from_ = 0;  // first dimension that the table covers
};

// Cuts [*first, *last) to the lanes t for which 0 <= value + t * step < size.
void clip(int64_t value, int64_t step, int64_t size, int64_t* first, int64_t* last);

}  // namespace pinpoint
