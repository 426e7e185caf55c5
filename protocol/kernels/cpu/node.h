// The fold node as decoded from its canonical bytes, and the strict decoder.
//
// The decoder accepts exactly what is safe to run: whatever the bytes are, a node that parse_node
// returns never makes the engine read or write outside its operands and output.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace pinpoint {

enum class DType : uint8_t { F32 = 1, I32 = 2, U8 = 3 };

inline int width_of(DType dtype) {
  return dtype == DType::U8 ? 1 : 4;
}

constexpr uint32_t kCanonicalNan = 0x7fc00000u;
constexpr int kMaxLoads = 16;
constexpr int kMaxRank = 8;
constexpr int kMaxAxes = 8;
constexpr int kMaxCoordinates = 2 * kMaxRank;

struct Operand {
  DType dtype;
  int64_t numel;
};

// One axis of a load's view. Terms are merged by source, and coordinates that are always zero
// (dimension 1) have coefficient 0, so that every coefficient left really counts.
struct Axis {
  uint32_t size;
  uint64_t stride;
  uint32_t divisor;
  int64_t constant;
  int64_t coordinate_coef[kMaxCoordinates];
  int64_t word_coef[kMaxLoads];
  bool uses_words;
  // True when every value that the coordinate can take is in bounds: nothing is left to check.
  bool always_in_bounds;
  // True when every value fits an i32.
  bool narrow;
};

struct Load {
  int operand;
  bool skip;
  uint32_t fill;
  uint64_t offset;
  std::vector<Axis> axes;
};

struct Guard {
  int load;
  int coordinate;
};

struct Instruction {
  uint8_t op;
  uint8_t arity;
  uint8_t args[3];
};

struct Node {
  DType dtype;
  std::vector<int64_t> shape;
  std::vector<int64_t> domain;
  uint32_t init;
  std::vector<Operand> operands;
  std::vector<Load> loads;
  std::vector<Guard> guards;
  std::vector<uint32_t> constants;
  std::vector<Instruction> instructions;
  int result;

  int64_t numel;
  int64_t terms;

  int rank() const { return static_cast<int>(shape.size()); }
  int coordinates() const { return static_cast<int>(shape.size() + domain.size()); }
  int64_t dimension(int coordinate) const {
    return coordinate < rank() ? shape[coordinate] : domain[coordinate - rank()];
  }
  int first_constant() const { return 1 + static_cast<int>(loads.size()); }
  int first_coordinate() const { return first_constant() + static_cast<int>(constants.size()); }
  int first_instruction() const { return first_coordinate() + coordinates(); }
  int values() const { return first_instruction() + static_cast<int>(instructions.size()); }
  DType load_dtype(int load) const { return operands[loads[load].operand].dtype; }
};

// Throws std::invalid_argument with the byte offset and both values.
Node parse_node(const uint8_t* bytes, size_t size);

}  // namespace pinpoint
