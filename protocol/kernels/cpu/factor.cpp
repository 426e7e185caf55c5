#include "factor.h"

#include <algorithm>
#include <cstring>

namespace pinpoint {
namespace {

constexpr int kWorthTurning = 4;  // terms in a row from which lines are transposed in registers

// strip[k * width + i] = from[terms[k] + i * stride]
void pack_strided(float* __restrict strip, int width, const float* __restrict from, int n,
                  const int64_t* terms, int64_t depth, int64_t stride) {
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

Factor::Factor(const Node& node, const Plan& plan, int load, const Parts& batch, const Parts& lines,
               const Parts& terms, bool copied, int lane, const TileOps& ops)
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
  line_runs_ = runs_of(lines_, 1);
  term_runs_ = runs_of(terms_, 1);
  size_t pieces = 0;
  for (size_t k = 0; k < terms_.size(); k += term_runs_[k]) ++pieces;
  long_term_runs_ = terms_.size() >= pieces * kWorthTurning;
}

const float* Factor::locate(const void* const* operands, int64_t batch, float* scratch) const {
  const float* operand = static_cast<const float*>(operands[operand_]);
  if (!copy_) return operand + constant_ + batch_[batch];
  copy_->make(scratch, operand, batch);
  std::fill_n(scratch + copy_->volume(), kMaxStrip, 0.0f);
  return scratch;
}

void Factor::pack(float* strips, int width, const float* located, const Strip* strip, int count,
                  int64_t k, int64_t depth) const {
  const int64_t first = strip[0].first;
  if (first + line_runs_[first] >= strip[count - 1].first + strip[count - 1].lanes) {
    ops_.pack_lanes(strips, width, located + lines_[first], strip, count, &terms_[k], depth);
    return;
  }
  for (int s = 0; s < count; ++s, strips += width * depth) {
    if (line_runs_[strip[s].first] >= strip[s].lanes) {
      const float* from = located + lines_[strip[s].first];
      ops_.pack_lanes(strips, width, from, &strip[s], 1, &terms_[k], depth);
    } else if (long_term_runs_) {
      pack_turned(strips, width, located, strip[s], k, depth);
    } else {
      pack_pieces(strips, width, located, strip[s], k, depth);
    }
  }
}

void Factor::pack_turned(float* to, int width, const float* from, const Strip& strip, int64_t k,
                         int64_t depth) const {
  if (strip.lanes < width) std::fill_n(to, width * depth, 0.0f);
  for (const int64_t last = k + depth; k < last;) {
    const int64_t length = std::min<int64_t>(term_runs_[k], last - k);
    ops_.pack_terms(to, width, width, from + terms_[k], &lines_[strip.first], strip.lanes, length);
    to += width * length;
    k += length;
  }
}

void Factor::pack_pieces(float* to, int width, const float* from, const Strip& strip, int64_t k,
                         int64_t depth) const {
  const int64_t* terms = &terms_[k];
  if (strip.lanes < width) std::fill_n(to, width * depth, 0.0f);
  for (int i = 0; i < strip.lanes;) {
    const int64_t* line = &lines_[strip.first + i];
    const float* source = from + *line;
    const int left = strip.lanes - i;
    const int run = std::min(line_runs_[strip.first + i], left);
    int length = run;
    if (run >= 8) {
      pack_piece<8>(to + i, width, source, terms, depth);
      length = 8;
    } else if (run >= 4) {
      pack_piece<4>(to + i, width, source, terms, depth);
      length = 4;
    } else if (run > 1 || left == 1) {
      pack_strided(to + i, width, source, run, terms, depth, 1);
    } else {
      const int64_t stride = line[1] - line[0];
      length = 2;
      while (length < left && line[length] - line[length - 1] == stride) ++length;
      if (stride == 2) {
        for (int64_t t = 0; t < depth; ++t) {
          ops_.copy_evens(to + i + t * width, source + terms[t], length);
        }
      } else {
        pack_strided(to + i, width, source, length, terms, depth, stride);
      }
    }
    i += length;
  }
}

}  // namespace pinpoint
