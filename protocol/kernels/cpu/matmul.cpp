// Order of additions: k in increasing row-major order of the domain. Blocks of kDepth terms keep
// the accumulators of a tile in registers; between blocks they rest in the output. Rows and columns
// of a tile that lie beyond the matrix are computed and thrown away; k is never padded, and an
// element out of bounds takes part with its fill word like any other.
#include "matmul.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "pack.h"
#include "plan.h"
#include "thread_pool.h"

namespace pinpoint {
namespace {

constexpr int64_t kDepth = 256;
constexpr int64_t kRowBlock = 144;     // rows packed at a time, rounded to whole tiles
constexpr int64_t kColumnBlock = 512;  // columns packed at a time
constexpr int64_t kFewColumns = 8;
constexpr int kMaxTile = 32;

struct Product {
  Factor a;
  Factor b;
  float* out;
  uint32_t init;
  int64_t depth;
  Offsets out_batch, out_row, out_column;
  std::vector<int32_t> out_runs;

  int64_t rows() const { return static_cast<int64_t>(out_row.size()); }
  int64_t columns() const { return static_cast<int64_t>(out_column.size()); }
};

class Job {
 public:
  Job(const Product& product, const BlockOps& ops)
      : p_(product),
        ops_(ops),
        row_block_((kRowBlock + ops.tile_rows - 1) / ops.tile_rows * ops.tile_rows),
        packed_a_((std::min(row_block_, product.rows()) + ops.tile_rows) *
                  std::min(kDepth, product.depth)),
        packed_b_((std::min(kColumnBlock, product.columns()) + ops.tile_columns) *
                  std::min(kDepth, product.depth)) {}

  void run(int64_t batch, int64_t row_begin, int64_t row_end, int64_t column_begin,
           int64_t column_end) {
    float* out = p_.out + p_.out_batch[batch];
    for (int64_t j = column_begin; j < column_end; j += kColumnBlock) {
      int64_t columns = std::min(kColumnBlock, column_end - j);
      for (int64_t k = 0; k < p_.depth; k += kDepth) {
        int64_t depth = std::min(kDepth, p_.depth - k);
        p_.b.pack(packed_b_.data(), batch, j, columns, ops_.tile_columns, k, depth);
        for (int64_t i = row_begin; i < row_end; i += row_block_) {
          int64_t rows = std::min(row_block_, row_end - i);
          p_.a.pack(packed_a_.data(), batch, i, rows, ops_.tile_rows, k, depth);
          tiles(out, i, rows, j, columns, k, depth);
        }
      }
    }
  }

 private:
  void tiles(float* out, int64_t i, int64_t rows, int64_t j, int64_t columns, int64_t k,
             int64_t depth) {
    const bool first = k == 0;
    const bool last = k + depth == p_.depth;
    const int64_t size = static_cast<int64_t>(ops_.tile_rows) * ops_.tile_columns;
    for (int64_t column = 0; column < columns; column += ops_.tile_columns) {
      for (int64_t row = 0; row < rows; row += ops_.tile_rows) {
        uint32_t sums[kMaxTile * kMaxTile];
        int n = static_cast<int>(std::min<int64_t>(ops_.tile_rows, rows - row));
        int m = static_cast<int>(std::min<int64_t>(ops_.tile_columns, columns - column));
        if (first || n < ops_.tile_rows || m < ops_.tile_columns) {
          std::fill_n(sums, size, first ? p_.init : 0u);
        }
        if (!first) move(sums, out, i + row, n, j + column, m, false);
        float* lanes = reinterpret_cast<float*>(sums);
        ops_.tile(packed_a_.data() + row * depth, packed_b_.data() + column * depth, lanes,
                  ops_.tile_columns, depth);
        if (last) ops_.canonicalise(sums, sums, int64_t{n} * ops_.tile_columns);
        move(sums, out, i + row, n, j + column, m, true);
      }
    }
  }

  // Copies the n x m accumulators of a tile to the output, or back.
  void move(uint32_t* sums, float* out, int64_t i, int n, int64_t j, int m, bool store) {
    for (int row = 0; row < n; ++row) {
      uint32_t* lanes = sums + row * ops_.tile_columns;
      float* line = out + p_.out_row[i + row];
      for (int column = 0; column < m;) {
        int length = std::min(m - column, static_cast<int>(p_.out_runs[j + column]));
        float* elements = line + p_.out_column[j + column];
        if (store) {
          std::memcpy(elements, lanes + column, sizeof(float) * length);
        } else {
          std::memcpy(lanes + column, elements, sizeof(float) * length);
        }
        column += length;
      }
    }
  }

  const Product& p_;
  const BlockOps& ops_;
  const int64_t row_block_;
  std::vector<float> packed_a_;
  std::vector<float> packed_b_;
};

// The loads of fma(load, load, acc), the only live instruction; false for any other body.
bool match_body(const Node& node, int* a, int* b) {
  int index = node.result - node.first_instruction();
  if (node.dtype != DType::F32 || index < 0 || !node.guards.empty()) return false;
  const Instruction& instruction = node.instructions[index];
  int loads = static_cast<int>(node.loads.size());
  *a = instruction.args[0] - 1;
  *b = instruction.args[1] - 1;
  if (instruction.op != 0x06 || instruction.args[2] != 0) return false;
  return *a >= 0 && *a < loads && *b >= 0 && *b < loads;
}

// Does the load's address, in or out of bounds, change with the coordinate?
bool moves(const Node& node, const Plan& plan, int load, int coordinate) {
  bool any = plan.loads[load].stride[coordinate] != 0;
  for (int a : plan.loads[load].checked_axes) {
    any = any || node.loads[load].axes[a].coordinate_coef[coordinate] != 0;
  }
  return any;
}

bool is_indirect(const Node& node, int load) {
  for (const Axis& axis : node.loads[load].axes) {
    if (axis.uses_words) return true;
  }
  return false;
}

int64_t points(const Node& node, const std::vector<int>& coordinates) {
  int64_t product = 1;
  for (int c : coordinates) product *= node.dimension(c);
  return product;
}

// Which output coordinates move which factor.
struct Roles {
  int left, right;
  std::vector<int> batch, rows, columns, depth;
  int64_t out_stride[kMaxCoordinates] = {};
};

bool assign_roles(const Node& node, const Plan& plan, Roles* roles) {
  int& left = roles->left;
  int& right = roles->right;
  if (!match_body(node, &left, &right)) return false;
  if (plan.masked || is_indirect(node, left) || is_indirect(node, right)) return false;

  // Sort the output coordinates: rows move only a, columns only b, batches both (or none). The
  // innermost one should be a column, so that lanes are neighbours in the output.
  int64_t stride = 1;
  for (int c = node.rank() - 1; c >= 0; --c) {
    roles->out_stride[c] = stride;
    stride *= node.shape[c];
  }
  int innermost = node.rank() - 1;
  while (innermost > 0 && node.shape[innermost] == 1) --innermost;
  if (innermost >= 0 && !moves(node, plan, right, innermost)) std::swap(left, right);
  std::vector<int>&batch = roles->batch, &rows = roles->rows, &columns = roles->columns;
  for (int c = 0; c < node.rank(); ++c) {
    bool moves_a = moves(node, plan, left, c);
    bool moves_b = moves(node, plan, right, c);
    (moves_a == moves_b ? batch : moves_a ? rows : columns).push_back(c);
  }
  for (int c = node.rank(); c < node.coordinates(); ++c) roles->depth.push_back(c);
  if (points(node, columns) < kFewColumns && points(node, rows) >= kFewColumns) {
    std::swap(left, right);
    std::swap(rows, columns);
  }
  // Below this a tile would mostly compute padding.
  return points(node, rows) >= 2 && points(node, columns) >= kFewColumns && node.terms >= 4;
}

class MatmulKernel : public Kernel {
 public:
  MatmulKernel(const Node& node, Plan plan, Roles roles, const BlockOps& ops)
      : node_(node), plan_(std::move(plan)), roles_(std::move(roles)), ops_(ops) {}

  const char* name() const override { return "matmul"; }
  void run(const void* const* operands, void* out, int threads) const override;

 private:
  const Node& node_;
  Plan plan_;
  Roles roles_;
  const BlockOps& ops_;
};

void MatmulKernel::run(const void* const* operands, void* out, int threads) const {
  const Node& node = node_;
  const BlockOps& ops = ops_;
  const std::vector<int>&batch = roles_.batch, &rows = roles_.rows, &columns = roles_.columns;
  auto factor = [&](int load, const std::vector<int>& lines) {
    return Factor(node, plan_, load, operands[node.loads[load].operand], batch, lines,
                  roles_.depth, ops);
  };
  Product product{factor(roles_.left, rows),
                  factor(roles_.right, columns),
                  static_cast<float*>(out),
                  node.init,
                  node.terms,
                  offsets_of(node, batch, roles_.out_stride),
                  offsets_of(node, rows, roles_.out_stride),
                  offsets_of(node, columns, roles_.out_stride),
                  {}};
  product.out_runs = contiguous_runs(product.out_column);

  // Few batches: each is cut along its longer side, at whole tiles.
  int64_t batches = static_cast<int64_t>(product.out_batch.size());
  int64_t parts = batches >= threads ? 1 : (threads + batches - 1) / batches;
  bool cut_rows = product.rows() >= product.columns();
  int64_t extent = cut_rows ? product.rows() : product.columns();
  int64_t unit = cut_rows ? ops.tile_rows : ops.tile_columns;
  int64_t units = (extent + unit - 1) / unit;
  parts = std::min(parts, units);
  parallel_for(batches * parts, threads, [&](int64_t number) {
    int64_t part = number % parts;
    int64_t begin = units * part / parts * unit;
    int64_t end = std::min(extent, units * (part + 1) / parts * unit);
    Job job(product, ops);
    job.run(number / parts, cut_rows ? begin : 0, cut_rows ? end : product.rows(),
            cut_rows ? 0 : begin, cut_rows ? product.columns() : end);
  });
}

}  // namespace

std::unique_ptr<Kernel> prepare_matmul(const Node& node, const BlockOps& ops) {
  Plan plan(node, Blocking::Outputs, Wanted::Body);
  Roles roles;
  if (!assign_roles(node, plan, &roles)) return nullptr;
  return std::make_unique<MatmulKernel>(node, std::move(plan), std::move(roles), ops);
}

}  // namespace pinpoint
