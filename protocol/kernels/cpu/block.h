// One block of lanes: the loads' words and the body's values at up to kBlock points of a space.
#pragma once

#include <memory>
#include <vector>

#include "block_ops.h"
#include "plan.h"
#include "runs.h"

namespace pinpoint {

enum class Live { None, Some, All };

class Block {
 public:
  // operands[i] is the address of operand i's first element.
  Block(const Plan& plan, const Space& space, const BlockOps& ops, const void* const* operands,
        bool check_guards = true);

  // Moves to points start .. start+n-1 of the space.
  void begin(int64_t start, int n);
  // Loads all words at the block's points and the given values of the other coordinates
  // (`coordinates` is indexed by coordinate; varying ones are ignored). `mask()` tells the lanes
  // that are not skipped if the answer is Some.
  Live load(const int64_t* coordinates);
  // New accumulators in buffer 0 of all lanes (Live::All) or of the unmasked ones (Live::Some).
  void advance(Live live);

  int lanes() const { return n_; }
  const uint32_t* mask() const { return mask_; }
  uint32_t* accumulator() { return buffers_[0]; }
  uint32_t* const* buffers() const { return buffers_.data(); }
  const uint32_t* word(int load) const { return buffers_[1 + load]; }

 private:
  void load_affine(int k, const int64_t* coordinates);
  void load_checked(int k, const int64_t* coordinates);
  void load_clipped(int k, const int64_t* coordinates);
  int64_t scalar_address(int k, const int64_t* coordinates) const;
  int64_t scalar_value(const Axis& axis, const int64_t* coordinates) const;
  void copy_runs(uint32_t* to, const AffineRuns& runs, DType dtype, const void* from) const;
  void copy_run(uint32_t* to, int length, int64_t inner, DType dtype, const void* from) const;

  const Plan& plan_;
  const Space& space_;
  const BlockOps& ops_;
  const void* const* operands_;
  bool check_guards_;
  int n_ = 0;

  std::unique_ptr<uint32_t[]> storage_;
  std::vector<uint32_t*> own_;      // the buffers in storage_
  std::vector<uint32_t*> buffers_;  // what the body reads: own_, or an operand's memory directly
  uint32_t* mask_;
  bool varies_[kMaxCoordinates] = {};
  bool coordinate_needed_[kMaxCoordinates] = {};
  std::vector<AffineRuns> runs_;  // per load
  std::vector<bool> clipped_;     // per load: bounds are found once per run
  std::vector<bool> fixed_;       // per load: the same at every value of the scalars
  std::vector<bool> loaded_;      // ... and loaded for this block already
  std::vector<std::vector<int64_t>> axis_values_;  // per load: varying part of each checked axis
  std::vector<Step> direct_;                       // plan.dependent, writing into the accumulator
};

}  // namespace pinpoint
