// A copy of what a batch of a matrix product reads of an operand, with the fill word written where
// the load is out of bounds. Every element of the factor is then at `line offset + term offset`,
// without a check, and a chosen coordinate's neighbours lie beside each other.
//
// A 3 x 3 convolution reads each element of an image nine times, but it is copied once.
#pragma once

#include "parts.h"
#include "tile.h"

namespace pinpoint {

// Words of the copy for these lines and terms; `limit` if there are as many or more.
int64_t padded_volume(const Load& load, const Parts& lines, const Parts& terms, int64_t limit);

class PaddedCopy {
 public:
  // lane: the coordinate of `lines` whose neighbours are to be neighbours in the copy, or -1.
  // Lines and terms are those of one batch; their offsets into the copy are returned.
  PaddedCopy(const Load& load, const Parts& batch, const Parts& lines, const Parts& terms, int lane,
             const TileOps& ops);

  // Can the coordinate be a lane? It must move one axis only, forwards, and whatever else moves
  // that axis must keep step with it.
  static bool can_be_lane(const Load& load, const Parts& lines, const Parts& terms, int lane);

  int64_t volume() const { return volume_; }
  const Offsets& lines() const { return lines_; }
  const Offsets& terms() const { return terms_; }

  void make(float* copy, const float* operand, int64_t batch) const;

 private:
  // An axis in the order of the copy. Position u of it is value `low + batch part + u` of the
  // load's axis before the division. It is kept at copy[place(u)]: every phases-th position beside
  // each other.
  struct Side {
    uint32_t size;
    uint32_t divisor;
    int64_t stride;  // in the operand
    int64_t low;
    Offsets batch;
    int64_t extent;  // a multiple of phases
    int64_t phases;
    int64_t pitch;

    int64_t place(int64_t u) const {
      return phases == 1 ? u * pitch : (u % phases * (extent / phases) + u / phases) * pitch;
    }
    int64_t length() const { return extent / phases; }  // of a phase
  };

  struct Span {
    int64_t first, last;
  };

  // What is the same for all rows of a copy: the value of each side's position 0, and for each
  // phase of the last side which of its places are in bounds and the element of the first of them.
  struct Batch {
    int64_t values[kMaxAxes];
    std::vector<Span> spans;
    std::vector<int64_t> from;
    int64_t step;  // between the elements of a phase
  };

  Batch batch_of(int64_t number) const;
  Span span(const Side& side, int64_t value, int64_t phase) const;
  void copy_side(size_t number, float* to, const float* from, const Batch& batch) const;
  void copy_plane(float* to, const float* from, const Batch& batch) const;
  void copy_inside(float* to, const float* from, const Batch& batch) const;
  void copy_divided_row(float* to, const float* from, const Batch& batch) const;
  void copy_turned(float* to, const float* from, const Batch& batch) const;
  bool turns() const;

  const TileOps& ops_;
  float fill_;
  int64_t offset_;
  std::vector<Side> sides_;
  int64_t volume_;
  Offsets lines_, terms_;
};

}  // namespace pinpoint
