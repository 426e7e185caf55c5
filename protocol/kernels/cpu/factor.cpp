#include "factor.h"

#include <algorithm>
#include <cstring>

namespace pinpoint {
namespace {

constexpr int kWorthTurning = 4;  // terms in a row from which lines are transposed in registers

// strip[k * width + i] = from[terms[k] + i * stride]
template <int64_t kStride>
void pack_strided(float* strip, int width, const float* from, int n, const int64_t* terms,
                  int64_t depth, int64_t stride) {
  if (kStride != 0) stride = kStride;
  for (int64_t k = 0; k < depth; ++k, strip += width) {
    const float* source = from + terms[k];
    for (int i = 0; i < n; ++i) strip[i] = source[i * stride];
  }
}

template <int kLength>
void pack_piece(float* strip, int width, const float* from, const int64_t* terms, int64_t depth) {
  for (int64_t k = 0; k < depth; ++k, strip += width) {
    std::memcpy(strip, from + terms[k], sizeof(float) * kLength);
  }
}

}  // namespace

Factor::Factor(const Node& node, const Plan& plan, int load, const Parts& batch,
               const Parts& lines, const Parts& terms, bool copied, int lane, const TileOps& ops)
    : ops_(ops),
      operand_(node.loads[load].operand),
      constant_(plan.loads[load].constant),
      batch_(offsets_of(batch, plan.loads[load].stride)) {
  if (copied) {
    copy_.emplace(node.loads[load], batch, lines, terms, lane, ops);
    lines_ = copy_->lines();
    terms_ = copy_->terms();
  } else {
    lines_ = offsets_of(lines, plan.loads[load].stride);
    terms_ = offsets_of(terms, plan.loads[load].stride);
  }
  line_runs_ = contiguous_runs(lines_);
  term_runs_ = contiguous_runs(terms_);
}

const float* Factor::locate(const void* const* operands, int64_t batch, float* scratch) const {
  const float* operand = static_cast<const float*>(operands[operand_]);
  if (!copy_) return operand + constant_ + batch_[batch];
  copy_->make(scratch, operand, batch);
  std::fill_n(scratch + copy_->volume(), kMaxStrip, 0.0f);
  return scratch;
}

void Factor::pack(float* strip, int width, const float* located, int64_t first, int n, int64_t k,
                  int64_t depth) const {
  if (line_runs_[first] >= n) {
    ops_.pack_lanes(strip, width, located + lines_[first], n, &terms_[k], depth);
    return;
  }
  const int64_t last = k + depth;
  int64_t pieces = 1;
  for (int64_t t = k; t + term_runs_[t] < last; t += term_runs_[t]) ++pieces;
  if (depth < pieces * kWorthTurning) {
    pack_pieces(strip, width, located, first, n, k, depth);
    return;
  }
  while (k < last) {
    const int64_t length = std::min<int64_t>(term_runs_[k], last - k);
    ops_.pack_terms(strip, width, located + terms_[k], &lines_[first], n, length);
    strip += width * length;
    k += length;
  }
}

void Factor::pack_pieces(float* strip, int width, const float* from, int64_t first, int n,
                         int64_t k, int64_t depth) const {
  const int64_t* terms = &terms_[k];
  for (int i = 0; i < n;) {
    const int64_t* line = &lines_[first + i];
    const float* source = from + *line;
    const int run = std::min(line_runs_[first + i], n - i);
    if (run >= 8) {
      pack_piece<8>(strip + i, width, source, terms, depth);
      i += 8;
    } else if (run >= 4) {
      pack_piece<4>(strip + i, width, source, terms, depth);
      i += 4;
    } else if (run >= 2 || i + 1 == n) {
      pack_strided<1>(strip + i, width, source, run, terms, depth, 1);
      i += run;
    } else {
      const int64_t stride = line[1] - line[0];
      int length = 2;
      while (i + length < n && line[length] - line[length - 1] == stride) ++length;
      if (stride == 2) {
        pack_strided<2>(strip + i, width, source, length, terms, depth, stride);
      } else {
        pack_strided<0>(strip + i, width, source, length, terms, depth, stride);
      }
      i += length;
    }
  }
}

}  // namespace pinpoint
