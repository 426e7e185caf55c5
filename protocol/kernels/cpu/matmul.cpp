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

// Strips that are packed together: what a row of memory holds of them is then read in one go.
constexpr int64_t kGroup = 8;

// Packed words of a left factor that all jobs share; of a larger one each job packs what it needs.
constexpr int64_t kMostShared = int64_t{1} << 20;

struct Memory {
  Scratch rows, columns, left, right, sums;
  Offsets row_offsets;
};

Memory& memory() {
  thread_local Memory own;
  return own;
}

void interleave(float* __restrict to, const float* __restrict even, const float* __restrict odd,
                int count) {
  for (int i = 0; i < count; ++i) {
    to[2 * i] = even[i];
    to[2 * i + 1] = odd[i];
  }
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
        left_moves_(product.moves_left(node, plan)),
        table_bytes_(product.table_bytes()) {
    int64_t stride[kMaxCoordinates] = {};
    int64_t size = 1;
    for (int c = node.rank() - 1; c >= 0; --c) {
      stride[c] = size;
      size *= node.shape[c];
    }
    out_batch_ = offsets_of(product.batch, stride);
    out_row_ = offsets_of(product.rows, stride);
    out_column_ = offsets_of(product.columns, stride);
    out_runs_ = runs_of(out_column_, 1);
    out_pairs_ = runs_of(out_column_, 2);
    cuts_ = choose_cuts(left_, right_, out_runs_, ops);
  }

  const char* name() const override { return "matmul"; }
  int64_t table_bytes() const override { return table_bytes_; }
  void run(const void* const* operands, void* out, int threads) const override;

 private:
  struct Job {
    int64_t batch, first_panel, last_panel, first_strip, last_strip;
    const float* packed_rows;  // of all panels and terms, if all batches share them

    int64_t panels() const { return last_panel - first_panel; }
    int64_t strips() const { return last_strip - first_strip; }
  };

  int64_t terms() const { return static_cast<int64_t>(left_.terms().size()); }
  int64_t panels() const { return static_cast<int64_t>(cuts_.panels.size()); }
  int64_t first_row(const Job& job) const { return cuts_.panels[job.first_panel].first; }
  int64_t panel_words(int64_t depth) const { return depth * ops_.row_strip; }
  const float* pack_all_rows(const void* const* operands, int threads) const;
  void pack_panels(float* to, const float* located, int64_t first, int64_t last, int64_t k,
                   int64_t depth) const;
  void run_job(const Job& job, const void* const* operands, float* out) const;
  void run_block(const Job& job, const float* rows, const float* located, float* out, int64_t k,
                 int64_t depth) const;
  void run_tiles(const Job& job, const float* rows, int vectors, bool in_place, Tile& tile) const;
  void write(const Job& job, const float* sums, float* out) const;
  void write_row(const float* from, float* to, const Strip& strip) const;
  void write_two_rows(const float* from, int64_t pitch, float* to, const Strip& strip) const;

  const TileOps& ops_;
  uint32_t init_;
  Factor left_, right_;
  bool left_moves_;  // from batch to batch
  int64_t table_bytes_;
  Offsets out_batch_, out_row_, out_column_;
  std::vector<int32_t> out_runs_;   // of columns that are neighbours
  std::vector<int32_t> out_pairs_;  // ... that have one element between them
  Cuts cuts_;
};

void Matmul::run(const void* const* operands, void* out, int threads) const {
  const int64_t batches = static_cast<int64_t>(out_batch_.size());
  const int64_t strips = static_cast<int64_t>(cuts_.strips.size());
  const Grid grid = choose_grid(cuts_, batches, threads);
  const bool shares = !left_moves_ && batches * grid.column_parts > 1 &&
                      panels() * panel_words(terms()) <= kMostShared;
  const float* packed = shares ? pack_all_rows(operands, threads) : nullptr;
  parallel_for(batches * grid.row_parts * grid.column_parts, threads, [&](int64_t number) {
    const int64_t column = number % grid.column_parts;
    const int64_t row = number / grid.column_parts % grid.row_parts;
    const Job job{number / grid.column_parts / grid.row_parts, panels() * row / grid.row_parts,
                  panels() * (row + 1) / grid.row_parts,       strips * column / grid.column_parts,
                  strips * (column + 1) / grid.column_parts,   packed};
    run_job(job, operands, static_cast<float*>(out));
  });
}

// [block of terms][panel][term][row]
const float* Matmul::pack_all_rows(const void* const* operands, int threads) const {
  thread_local Scratch packed_rows, copied;
  float* packed = packed_rows.get(panels() * panel_words(terms()));
  const float* located = left_.locate(operands, 0, copied.get(left_.scratch_size()));
  const int64_t groups = (panels() + kGroup - 1) / kGroup;
  parallel_for(groups, threads, [&](int64_t group) {
    const int64_t first = panels() * group / groups;
    const int64_t last = panels() * (group + 1) / groups;
    for (int64_t k = 0; k < terms(); k += cuts_.depth) {
      const int64_t depth = std::min(cuts_.depth, terms() - k);
      float* block = packed + k * panels() * ops_.row_strip;
      pack_panels(block + first * panel_words(depth), located, first, last, k, depth);
    }
  });
  return packed;
}

void Matmul::pack_panels(float* to, const float* located, int64_t first, int64_t last, int64_t k,
                         int64_t depth) const {
  for (int64_t p = first; p < last; p += kGroup) {
    const int count = static_cast<int>(std::min(kGroup, last - p));
    left_.pack(to + (p - first) * panel_words(depth), ops_.row_strip, located, &cuts_.panels[p],
               count, k, depth);
  }
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
    const int64_t pitch = job.strips() * ops_.lanes;
    const Strip& last = cuts_.panels[job.last_panel - 1];
    const int64_t count = last.first + last.lanes - first_row(job);
    sums = own.sums.get(count * pitch);
    own.row_offsets.resize(count);
    for (int64_t i = 0; i < count; ++i) own.row_offsets[i] = i * pitch;
  }
  for (int64_t k = 0; k < terms(); k += cuts_.depth) {
    const int64_t depth = std::min(cuts_.depth, terms() - k);
    const float* block = rows;
    if (job.packed_rows != nullptr) {
      block =
          job.packed_rows + k * panels() * ops_.row_strip + job.first_panel * panel_words(depth);
    } else {
      pack_panels(rows, left, job.first_panel, job.last_panel, k, depth);
    }
    run_block(job, block, right, sums, k, depth);
  }
  if (!cuts_.direct) write(job, sums, base);
}

// Adds a block of terms to all sums of a job: strips that are packed together, and of these as many
// as a tile has vectors.
void Matmul::run_block(const Job& job, const float* rows, const float* located, float* out,
                       int64_t k, int64_t depth) const {
  float* packed = memory().columns.get(kGroup * ops_.lanes * depth);
  Tile tile{};
  tile.terms = &right_.terms()[k];
  tile.depth = depth;
  tile.init = init_;
  tile.first = k == 0;
  tile.last = k + depth == terms();
  for (int64_t s = job.first_strip; s < job.last_strip;) {
    const bool in_place = cuts_.in_place[s] != 0;
    int count = 1;
    while (count < kGroup && s + count < job.last_strip &&
           (cuts_.in_place[s + count] != 0) == in_place) {
      ++count;
    }
    if (!in_place) {
      right_.pack(packed, ops_.lanes, located, &cuts_.strips[s], count, k, depth);
    }
    for (int first = 0; first < count; first += ops_.vectors) {
      const int vectors = std::min(ops_.vectors, count - first);
      for (int v = 0; v < vectors; ++v) {
        const int64_t number = s + first + v;
        const Strip& strip = cuts_.strips[number];
        tile.lanes[v] = strip.lanes;
        tile.c[v] = out + (cuts_.direct ? out_column_[strip.first]
                                        : (number - job.first_strip) * ops_.lanes);
        tile.b[v] = in_place ? located + right_.lines()[strip.first]
                             : packed + (first + v) * ops_.lanes * depth;
      }
      run_tiles(job, rows, vectors, in_place, tile);
    }
    s += count;
  }
}

// All panels of a job times the strips of a tile.
void Matmul::run_tiles(const Job& job, const float* rows, int vectors, bool in_place,
                       Tile& tile) const {
  const int64_t* offsets = cuts_.direct ? out_row_.data() : memory().row_offsets.data();
  const int64_t origin = cuts_.direct ? 0 : first_row(job);
  for (int64_t p = job.first_panel; p < job.last_panel; ++p) {
    const Strip& panel = cuts_.panels[p];
    const Strip& next = cuts_.panels[std::min(p + 1, job.last_panel - 1)];
    tile.a = rows + (p - job.first_panel) * panel_words(tile.depth);
    tile.c_rows = offsets + panel.first - origin;
    tile.next_rows = next.lanes < panel.lanes ? tile.c_rows : offsets + next.first - origin;
    ops_.kernel(panel.lanes, vectors, in_place)(tile);
  }
}

// Copies the sums of a job to where they belong.
void Matmul::write(const Job& job, const float* sums, float* out) const {
  const int64_t pitch = job.strips() * ops_.lanes;
  int64_t row = first_row(job);
  const int64_t last =
      cuts_.panels[job.last_panel - 1].first + cuts_.panels[job.last_panel - 1].lanes;
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
void Matmul::write_two_rows(const float* from, int64_t pitch, float* to, const Strip& strip) const {
  for (int lane = 0; lane < strip.lanes;) {
    const int64_t column = strip.first + lane;
    const int run = std::min(out_pairs_[column], strip.lanes - lane);
    interleave(to + out_column_[column], from + lane, from + pitch + lane, run);
    lane += run;
  }
}

}  // namespace

std::unique_ptr<Kernel> prepare_matmul(const Node& node, const BlockOps& block_ops,
                                       int64_t most_table_bytes) {
  const TileOps& ops = tile_ops(block_ops.name);
  Plan plan(node, Blocking::Outputs, Wanted::Body);
  std::optional<Arrangement> product = arrange(node, plan, ops);
  if (!product || product->table_bytes() > most_table_bytes) return nullptr;
  return std::make_unique<Matmul>(node, plan, *product, ops);
}

}  // namespace pinpoint
