// One factor of a matrix product, seen through its load's view, and its packing into strips.
#pragma once

#include <optional>

#include "padded_copy.h"
#include "parts.h"
#include "plan.h"
#include "tile.h"

namespace pinpoint {

// Element (batch, line, term) of a load; lines are the rows or the columns of the product.
class Factor {
 public:
  // copied: read a padded copy instead of the operand; needed if the load can be out of bounds.
  // lane: see PaddedCopy.
  Factor(const Node& node, const Plan& plan, int load, const Parts& batch, const Parts& lines,
         const Parts& terms, bool copied, int lane, const TileOps& ops);

  // Where the elements of a batch are: (line, term) is at result[lines()[line] + terms()[term]].
  // `scratch`: room for scratch_size() words, which the result may point to.
  const float* locate(const void* const* operands, int64_t batch, float* scratch) const;
  int64_t scratch_size() const { return copy_ ? copy_->volume() + kMaxStrip : 0; }
  bool is_copied() const { return copy_.has_value(); }

  const Offsets& lines() const { return lines_; }
  const Offsets& terms() const { return terms_; }
  const std::vector<int32_t>& line_runs() const { return line_runs_; }

  // Packs terms k .. k+depth-1 of neighbouring strips, one after the other. Words of a strip
  // beyond its lanes are some numbers.
  void pack(float* strips, int width, const float* located, const Strip* strip, int count,
            int64_t k, int64_t depth) const;

 private:
  void pack_turned(float* to, int width, const float* from, const Strip& strip, int64_t k,
                   int64_t depth) const;
  void pack_pieces(float* to, int width, const float* from, const Strip& strip, int64_t k,
                   int64_t depth) const;

  const TileOps& ops_;
  int operand_;
  int64_t constant_;
  Offsets batch_;
  std::optional<PaddedCopy> copy_;
  Offsets lines_, terms_;
  std::vector<int32_t> line_runs_, term_runs_;
  bool long_term_runs_;
};

}  // namespace pinpoint
