// Order of additions: terms in increasing row-major order of the domain. Blocks of terms keep the
// accumulators of a tile in registers; between blocks they rest in the output, or in a buffer if
// the lanes of a tile are no neighbours there. Terms are never padded or left out: an element out
// of bounds takes part with its fill word like any other.
#include "matmul.h"

#include <algorithm>
#include <cstring>

#include "cuts.h"
#include "scratch.h"
#include "thread_pool.h"

namespace pinpoint {
namespace {

struct Memory {
  Scratch rows, columns, left, right, sums;
  Offsets row_offsets;
};

Memory& memory() {
  thread_local Memory own;
  return own;
}

class Matmul final : public Kernel {
 public:
  Matmul(const Node& node, const Plan& plan, const Arrangement& product, const TileOps& ops)
      : ops_(ops),
        init_(node.init),
        left_(node, plan, product.left, product.batch, product.rows, product.terms,
              product.copies_left, -1, ops),
        right_(node, plan, product.right, product.batch, product.columns, product.terms,
               product.copies_right, product.lane, ops),
        left_moves_(product.moves_left(node, plan)) {
    int64_t stride[kMaxCoordinates] = {};
    int64_t size = 1;
    for (int c = node.rank() - 1; c >= 0; --c) {
      stride[c] = size;
      size *= node.shape[c];
    }
    out_batch_ = offsets_of(product.batch, stride);
    out_row_ = offsets_of(product.rows, stride);
    out_column_ = offsets_of(product.columns, stride);
    out_runs_ = contiguous_runs(out_column_);
    cuts_ = choose_cuts(left_, right_, out_runs_, ops);
  }

  const char* name() const override { return "matmul"; }
  void run(const void* const* operands, void* out, int threads) const override;

 private:
  struct Job {
    int64_t batch, first_panel, last_panel, first_strip, last_strip;
    const float* packed_rows;  // of all panels and terms, if all batches share them

    int64_t panels() const { return last_panel - first_panel; }
    int64_t strips() const { return last_strip - first_strip; }
  };

  int64_t terms() const { return static_cast<int64_t>(left_.terms().size()); }
  int64_t panel_words(int64_t depth) const { return depth * ops_.row_strip; }
  const float* pack_all_rows(const void* const* operands, int threads) const;
  void pack_panel(float* to, const float* located, int64_t panel, int64_t k, int64_t depth) const;
  void run_job(const Job& job, const void* const* operands, float* out) const;
  void run_block(const Job& job, const float* rows, const float* located, float* out,
                 int64_t k, int64_t depth) const;
  void write(const Job& job, const float* sums, float* out) const;
  void write_row(const float* from, float* to, const Strip& strip) const;
  void write_two_rows(const float* from, int64_t pitch, float* to, const Strip& strip) const;

  const TileOps& ops_;
  uint32_t init_;
  Factor left_, right_;
  bool left_moves_;  // from batch to batch
  Offsets out_batch_, out_row_, out_column_;
  std::vector<int32_t> out_runs_;
  Cuts cuts_;
};

void Matmul::run(const void* const* operands, void* out, int threads) const {
  const int64_t batches = static_cast<int64_t>(out_batch_.size());
  const int64_t strips = static_cast<int64_t>(cuts_.strips.size());
  const Grid grid = choose_grid(cuts_, batches, threads);
  const bool shares = !left_moves_ && batches * grid.column_parts > 1;
  const float* packed = shares ? pack_all_rows(operands, threads) : nullptr;
  parallel_for(batches * grid.row_parts * grid.column_parts, threads, [&](int64_t number) {
    const int64_t column = number % grid.column_parts;
    const int64_t row = number / grid.column_parts % grid.row_parts;
    const Job job{number / grid.column_parts / grid.row_parts,
                  cuts_.panels * row / grid.row_parts,
                  cuts_.panels * (row + 1) / grid.row_parts,
                  strips * column / grid.column_parts,
                  strips * (column + 1) / grid.column_parts,
                  packed};
    run_job(job, operands, static_cast<float*>(out));
  });
}

// [block of terms][panel][term][row]
const float* Matmul::pack_all_rows(const void* const* operands, int threads) const {
  thread_local Scratch packed_rows, copied;
  float* packed = packed_rows.get(cuts_.panels * panel_words(terms()));
  const float* located = left_.locate(operands, 0, copied.get(left_.scratch_size()));
  parallel_for(cuts_.panels, threads, [&](int64_t panel) {
    for (int64_t k = 0; k < terms(); k += cuts_.depth) {
      const int64_t depth = std::min(cuts_.depth, terms() - k);
      float* to = packed + k * cuts_.panels * ops_.row_strip + panel * panel_words(depth);
      pack_panel(to, located, panel, k, depth);
    }
  });
  return packed;
}

void Matmul::pack_panel(float* to, const float* located, int64_t panel, int64_t k,
                        int64_t depth) const {
  const int64_t first = cuts_.panel_begin(panel);
  const int rows = static_cast<int>(cuts_.panel_begin(panel + 1) - first);
  left_.pack(to, ops_.row_strip, located, first, rows, k, depth);
}

void Matmul::run_job(const Job& job, const void* const* operands, float* out) const {
  Memory& own = memory();
  const float* right = right_.locate(operands, job.batch, own.right.get(right_.scratch_size()));
  const float* left = nullptr;
  float* rows = nullptr;
  if (job.packed_rows == nullptr) {
    left = left_.locate(operands, job.batch, own.left.get(left_.scratch_size()));
    rows = own.rows.get(job.panels() * panel_words(std::min(cuts_.depth, terms())));
  }
  float* base = out + out_batch_[job.batch];
  float* sums = base;
  if (!cuts_.direct) {
    const int64_t first = cuts_.panel_begin(job.first_panel);
    const int64_t count = cuts_.panel_begin(job.last_panel) - first;
    sums = own.sums.get(count * job.strips() * ops_.lanes);
    own.row_offsets.resize(count);
    for (int64_t i = 0; i < count; ++i) own.row_offsets[i] = i * job.strips() * ops_.lanes;
  }
  for (int64_t k = 0; k < terms(); k += cuts_.depth) {
    const int64_t depth = std::min(cuts_.depth, terms() - k);
    const float* block = rows;
    if (job.packed_rows != nullptr) {
      block = job.packed_rows + k * cuts_.panels * ops_.row_strip +
              job.first_panel * panel_words(depth);
    }
    for (int64_t p = job.first_panel; rows != nullptr && p < job.last_panel; ++p) {
      pack_panel(rows + (p - job.first_panel) * panel_words(depth), left, p, k, depth);
    }
    run_block(job, block, right, sums, k, depth);
  }
  if (!cuts_.direct) write(job, sums, base);
}

// Adds a block of terms to all sums of a job.
void Matmul::run_block(const Job& job, const float* rows, const float* located, float* out,
                       int64_t k, int64_t depth) const {
  const std::vector<Strip>& strips = cuts_.strips;
  float* packed = memory().columns.get(ops_.vectors * ops_.lanes * depth);
  Tile tile{};
  tile.terms = &right_.terms()[k];
  tile.depth = depth;
  tile.init = init_;
  tile.first = k == 0;
  tile.last = k + depth == terms();
  for (int64_t s = job.first_strip; s < job.last_strip;) {
    int vectors = 0;
    const bool in_place = strips[s].in_place;
    for (; vectors < ops_.vectors && s < job.last_strip && strips[s].in_place == in_place; ++s) {
      const Strip& strip = strips[s];
      const int v = vectors++;
      tile.lanes[v] = strip.lanes;
      tile.c[v] = cuts_.direct ? out + out_column_[strip.first]
                                   : out + (s - job.first_strip) * ops_.lanes;
      tile.b[v] = located + right_.lines()[strip.first];
      if (in_place) continue;
      float* to = packed + v * ops_.lanes * depth;
      if (strip.lanes < ops_.lanes) std::fill_n(to, ops_.lanes * depth, 0.0f);
      right_.pack(to, ops_.lanes, located, strip.first, strip.lanes, k, depth);
      tile.b[v] = to;
    }
    const int64_t first_row = cuts_.panel_begin(job.first_panel);
    for (int64_t p = job.first_panel; p < job.last_panel; ++p) {
      const int64_t row = cuts_.panel_begin(p);
      tile.a = rows + (p - job.first_panel) * panel_words(depth);
      tile.c_rows = cuts_.direct ? &out_row_[row] : &memory().row_offsets[row - first_row];
      const int height = static_cast<int>(cuts_.panel_begin(p + 1) - row);
      ops_.kernel(height, vectors, in_place)(tile);
    }
  }
}

// Copies the sums of a job to where they belong.
void Matmul::write(const Job& job, const float* sums, float* out) const {
  const int64_t pitch = job.strips() * ops_.lanes;
  int64_t row = cuts_.panel_begin(job.first_panel);
  const int64_t last = cuts_.panel_begin(job.last_panel);
  while (row < last) {
    const bool pair = row + 1 < last && out_row_[row + 1] == out_row_[row] + 1;
    const int rows = pair ? 2 : 1;
    const float* from = sums;
    for (int64_t s = job.first_strip; s < job.last_strip; ++s, from += ops_.lanes) {
      if (pair) {
        write_two_rows(from, pitch, out + out_row_[row], cuts_.strips[s]);
      } else {
        write_row(from, out + out_row_[row], cuts_.strips[s]);
      }
    }
    sums += rows * pitch;
    row += rows;
  }
}

void Matmul::write_row(const float* from, float* to, const Strip& strip) const {
  for (int lane = 0; lane < strip.lanes;) {
    const int64_t* column = &out_column_[strip.first + lane];
    const int run = std::min(out_runs_[strip.first + lane], strip.lanes - lane);
    if (run == 1) {
      to[*column] = from[lane];
    } else {
      std::memcpy(to + *column, from + lane, sizeof(float) * run);
    }
    lane += run;
  }
}

// Two rows that are neighbours in the output: often its columns are every second element.
void Matmul::write_two_rows(const float* from, int64_t pitch, float* to,
                            const Strip& strip) const {
  const int64_t* columns = &out_column_[strip.first];
  for (int lane = 0; lane < strip.lanes;) {
    int end = lane + 1;
    while (end < strip.lanes && columns[end] == columns[end - 1] + 2) ++end;
    float* pairs = to + columns[lane];
    for (int t = lane; t < end; ++t) {
      pairs[2 * (t - lane)] = from[t];
      pairs[2 * (t - lane) + 1] = from[pitch + t];
    }
    lane = end;
  }
}

}  // namespace

std::unique_ptr<Kernel> prepare_matmul(const Node& node, const BlockOps& block_ops) {
  const TileOps& ops = tile_ops(block_ops.name);
  Plan plan(node, Blocking::Outputs, Wanted::Body);
  std::optional<Arrangement> product = arrange(node, plan, ops);
  if (!product) return nullptr;
  return std::make_unique<Matmul>(node, plan, *product, ops);
}

}  // namespace pinpoint
