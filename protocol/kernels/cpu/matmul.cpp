// Order of additions: k in increasing row-major order of the domain. Blocks of kDepth terms keep the
// accumulators of a tile in registers; between blocks they rest in the output. Rows and columns of a
// tile that lie beyond the matrix are computed on zeros and thrown away; k is never padded.
#include "matmul.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "plan.h"
#include "thread_pool.h"

namespace pinpoint {
namespace {

constexpr int64_t kDepth = 256;
constexpr int64_t kRowBlock = 144;     // rows of `a` packed at a time, rounded to whole tiles
constexpr int64_t kColumnBlock = 512;  // columns of `b` packed at a time
constexpr int kMaxTile = 32;

using Offsets = std::vector<int64_t>;

// Offsets of all points of some coordinates, row-major.
Offsets offsets_of(const Node& node, const std::vector<int>& coordinates, const int64_t* stride) {
  Offsets offsets{0};
  for (int c : coordinates) {
    Offsets next;
    next.reserve(offsets.size() * node.dimension(c));
    for (int64_t base : offsets) {
      for (int64_t i = 0; i < node.dimension(c); ++i) next.push_back(base + i * stride[c]);
    }
    offsets = std::move(next);
  }
  return offsets;
}

bool is_contiguous(const Offsets& offsets) {
  for (size_t i = 1; i < offsets.size(); ++i) {
    if (offsets[i] != offsets[i - 1] + 1) return false;
  }
  return true;
}

// The matrices as seen through tables of offsets: element (i, k) of `a` in batch z is
// a[a_batch[z] + a_row[i] + a_depth[k]], and so on.
struct Product {
  const float* a;
  const float* b;
  float* out;
  uint32_t init;
  Offsets a_batch, b_batch, out_batch;
  Offsets a_row, out_row;
  Offsets b_column, out_column;
  Offsets a_depth, b_depth;
  bool b_column_contiguous;
  bool out_column_contiguous;

  int64_t rows() const { return static_cast<int64_t>(a_row.size()); }
  int64_t columns() const { return static_cast<int64_t>(b_column.size()); }
  int64_t depth() const { return static_cast<int64_t>(a_depth.size()); }
};

// Panels of `width` rows or columns: destination[panel][k][i], zeros beyond the matrix.
void pack(float* destination, const float* source, const int64_t* lines, int64_t count, int width,
          const int64_t* depths, int64_t depth, bool contiguous) {
  for (int64_t first = 0; first < count; first += width, destination += width * depth) {
    int64_t n = std::min<int64_t>(width, count - first);
    if (n < width) std::fill_n(destination, width * depth, 0.0f);
    for (int64_t k = 0; k < depth; ++k) {
      float* to = destination + k * width;
      const float* from = source + depths[k];
      if (contiguous) {
        std::memcpy(to, from + lines[first], sizeof(float) * n);
      } else {
        for (int64_t i = 0; i < n; ++i) to[i] = from[lines[first + i]];
      }
    }
  }
}

class Job {
 public:
  Job(const Product& product, const BlockOps& ops)
      : p_(product),
        ops_(ops),
        row_block_((kRowBlock + ops.tile_rows - 1) / ops.tile_rows * ops.tile_rows),
        packed_a_((std::min(row_block_, product.rows()) + ops.tile_rows) *
                  std::min(kDepth, product.depth())),
        packed_b_((std::min(kColumnBlock, product.columns()) + ops.tile_columns) *
                  std::min(kDepth, product.depth())) {}

  void run(int64_t batch, int64_t row_begin, int64_t row_end, int64_t column_begin,
           int64_t column_end) {
    const float* a = p_.a + p_.a_batch[batch];
    const float* b = p_.b + p_.b_batch[batch];
    float* out = p_.out + p_.out_batch[batch];
    for (int64_t j = column_begin; j < column_end; j += kColumnBlock) {
      int64_t columns = std::min(kColumnBlock, column_end - j);
      for (int64_t k = 0; k < p_.depth(); k += kDepth) {
        int64_t depth = std::min(kDepth, p_.depth() - k);
        pack(packed_b_.data(), b, &p_.b_column[j], columns, ops_.tile_columns, &p_.b_depth[k],
             depth, p_.b_column_contiguous);
        for (int64_t i = row_begin; i < row_end; i += row_block_) {
          int64_t rows = std::min(row_block_, row_end - i);
          pack(packed_a_.data(), a, &p_.a_row[i], rows, ops_.tile_rows, &p_.a_depth[k], depth,
               false);
          tiles(out, i, rows, j, columns, k, depth);
        }
      }
    }
  }

 private:
  void tiles(float* out, int64_t i, int64_t rows, int64_t j, int64_t columns, int64_t k,
             int64_t depth) {
    const bool first = k == 0;
    const bool last = k + depth == p_.depth();
    for (int64_t column = 0; column < columns; column += ops_.tile_columns) {
      for (int64_t row = 0; row < rows; row += ops_.tile_rows) {
        float sums[kMaxTile * kMaxTile];
        int n = static_cast<int>(std::min<int64_t>(ops_.tile_rows, rows - row));
        int m = static_cast<int>(std::min<int64_t>(ops_.tile_columns, columns - column));
        if (first) {
          float init;
          std::memcpy(&init, &p_.init, 4);
          std::fill_n(sums, ops_.tile_rows * ops_.tile_columns, init);
        } else {
          if (n < ops_.tile_rows || m < ops_.tile_columns) {
            std::fill_n(sums, ops_.tile_rows * ops_.tile_columns, 0.0f);
          }
          move(sums, out, i + row, n, j + column, m, [](float* lane, float* element, int count) {
            std::memcpy(lane, element, sizeof(float) * count);
          });
        }
        ops_.tile(packed_a_.data() + row * depth, packed_b_.data() + column * depth, sums,
                  ops_.tile_columns, depth);
        if (last) {
          uint32_t* words = reinterpret_cast<uint32_t*>(sums);
          ops_.canonicalise(words, words, n * ops_.tile_columns);
        }
        move(sums, out, i + row, n, j + column, m, [](float* lane, float* element, int count) {
          std::memcpy(element, lane, sizeof(float) * count);
        });
      }
    }
  }

  template <typename Copy>
  void move(float* sums, float* out, int64_t i, int n, int64_t j, int m, Copy copy) {
    for (int row = 0; row < n; ++row) {
      float* lanes = sums + row * ops_.tile_columns;
      float* line = out + p_.out_row[i + row];
      if (p_.out_column_contiguous) {
        copy(lanes, line + p_.out_column[j], m);
      } else {
        for (int column = 0; column < m; ++column) {
          copy(lanes + column, line + p_.out_column[j + column], 1);
        }
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

}  // namespace

bool run_matmul(const Node& node, const void* const* operands, void* out, int threads,
                const BlockOps& ops) {
  int left, right;
  if (!match_body(node, &left, &right)) return false;
  Plan plan(node, Blocking::Outputs, Wanted::Body);
  if (plan.masked || !plan.loads[left].checked_axes.empty() ||
      !plan.loads[right].checked_axes.empty()) {
    return false;
  }

  // Sort the output coordinates: rows move only a, columns only b, batches both (or none). The
  // innermost one should be a column, so that lanes are neighbours in the output.
  std::vector<int> batch, rows, columns, depth;
  int64_t out_stride[kMaxCoordinates] = {};
  int64_t stride = 1;
  for (int c = node.rank() - 1; c >= 0; --c) {
    out_stride[c] = stride;
    stride *= node.shape[c];
  }
  int innermost = node.rank() - 1;
  while (innermost > 0 && node.shape[innermost] == 1) --innermost;
  if (innermost >= 0 && plan.loads[right].stride[innermost] == 0) std::swap(left, right);
  const LoadPlan& a = plan.loads[left];
  const LoadPlan& b = plan.loads[right];
  for (int c = 0; c < node.rank(); ++c) {
    bool moves_a = a.stride[c] != 0;
    bool moves_b = b.stride[c] != 0;
    (moves_a == moves_b ? batch : moves_a ? rows : columns).push_back(c);
  }
  for (int c = node.rank(); c < node.coordinates(); ++c) depth.push_back(c);
  auto points = [&](const std::vector<int>& coordinates) {
    int64_t product = 1;
    for (int c : coordinates) product *= node.dimension(c);
    return product;
  };
  // Below this a tile would mostly compute padding.
  if (points(rows) < 4 || points(columns) < 8 || node.terms < 4) return false;

  Product product{};
  product.a = static_cast<const float*>(operands[node.loads[left].operand]) + a.constant;
  product.b = static_cast<const float*>(operands[node.loads[right].operand]) + b.constant;
  product.out = static_cast<float*>(out);
  product.init = node.init;
  product.a_batch = offsets_of(node, batch, a.stride);
  product.b_batch = offsets_of(node, batch, b.stride);
  product.out_batch = offsets_of(node, batch, out_stride);
  product.a_row = offsets_of(node, rows, a.stride);
  product.out_row = offsets_of(node, rows, out_stride);
  product.b_column = offsets_of(node, columns, b.stride);
  product.out_column = offsets_of(node, columns, out_stride);
  product.a_depth = offsets_of(node, depth, a.stride);
  product.b_depth = offsets_of(node, depth, b.stride);
  product.b_column_contiguous = is_contiguous(product.b_column);
  product.out_column_contiguous = is_contiguous(product.out_column);

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
  return true;
}

}  // namespace pinpoint
