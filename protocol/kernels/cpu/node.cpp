#include "node.h"

#include <cstring>
#include <stdexcept>

#include "opcodes.h"

namespace pinpoint {
namespace {

constexpr size_t kMaxNodeBytes = 4096;
constexpr int64_t kMaxElements = (int64_t{1} << 31) - 1;
constexpr int64_t kMaxTerms = int64_t{1} << 24;
constexpr int64_t kCoordinateLimit = int64_t{1} << 62;

using Wide = __int128;

struct Signature {
  const char* arguments;
  char result;
};

// Null arguments for a byte that is no opcode.
Signature signature_of(uint8_t op) {
  switch (op) {
#define X(byte, name, arguments, result) \
  case byte:                             \
    return {arguments, result};
    PINPOINT_OPCODES(X)
#undef X
    default:
      return {nullptr, 0};
  }
}

bool is_nan_word(uint32_t word) {
  return (word & 0x7fffffffu) > 0x7f800000u;
}

class Reader {
 public:
  Reader(const uint8_t* bytes, size_t size) : bytes_(bytes), size_(size) {}

  [[noreturn]] void fail(const std::string& what) const {
    throw std::invalid_argument("malformed node at byte " + std::to_string(at_) + " of " +
                                std::to_string(size_) + ": " + what);
  }

  uint64_t take(int count) {
    if (size_ - at_ < static_cast<size_t>(count)) {
      fail("bytes end, expected " + std::to_string(count) + " more");
    }
    uint64_t value = 0;
    for (int i = 0; i < count; ++i) value = value << 8 | bytes_[at_++];
    return value;
  }
  uint8_t u8() { return static_cast<uint8_t>(take(1)); }
  uint32_t u32() { return static_cast<uint32_t>(take(4)); }
  uint64_t u64() { return take(8); }

  int count(int most, const char* what) {
    int value = u8();
    if (value > most) {
      fail(std::to_string(value) + " " + what + ", the most is " + std::to_string(most));
    }
    return value;
  }

  DType dtype() {
    uint8_t value = u8();
    if (value < 1 || value > 3) fail("dtype " + std::to_string(value) + ", expected 1, 2 or 3");
    return static_cast<DType>(value);
  }

  // Reads a shape and its number of elements, refused above `most`.
  std::vector<int64_t> shape(int64_t most, int64_t* product) {
    std::vector<int64_t> dims(count(kMaxRank, "dimensions"));
    *product = 1;
    for (int64_t& dim : dims) {
      dim = u32();
      if (dim < 1 || dim > kMaxElements) fail("dimension " + std::to_string(dim));
      if (*product > most / dim) fail("more than " + std::to_string(most) + " elements or terms");
      *product *= dim;
    }
    return dims;
  }

  void end() const {
    if (at_ != size_) fail(std::to_string(size_ - at_) + " bytes after the end");
  }

 private:
  const uint8_t* bytes_;
  size_t size_;
  size_t at_ = 0;
};

Axis read_axis(Reader& reader, const Node& node, int load) {
  Axis axis{};
  axis.size = reader.u32();
  axis.stride = reader.u64();
  axis.divisor = reader.u32();
  axis.constant = static_cast<int64_t>(reader.u64());
  if (axis.size == 0) reader.fail("axis of size 0");
  if (axis.divisor == 0) reader.fail("divisor 0");
  Wide low = axis.constant;
  Wide high = axis.constant;
  for (int left = reader.count(16, "terms on an axis"); left > 0; --left) {
    int source = reader.u8();
    int64_t coef = static_cast<int32_t>(reader.u32());
    Wide least = 0;
    Wide most = 0;
    if (source & 0x80) {
      source &= 0x7f;
      if (source >= load || node.load_dtype(source) == DType::F32) {
        reader.fail("load " + std::to_string(load) + " is indexed by load " +
                    std::to_string(source) + ", which is not an earlier integer load");
      }
      axis.word_coef[source] += coef;
      axis.uses_words = axis.uses_words || coef != 0;
      least = -(Wide{1} << 31);
      most = (Wide{1} << 31) - 1;
    } else {
      if (source >= node.coordinates()) {
        reader.fail("coordinate " + std::to_string(source) + " of " +
                    std::to_string(node.coordinates()));
      }
      most = node.dimension(source) - 1;
      if (most > 0) axis.coordinate_coef[source] += coef;
    }
    low += coef * (coef < 0 ? most : least);
    high += coef * (coef < 0 ? least : most);
  }
  if (low <= -kCoordinateLimit || high >= kCoordinateLimit) reader.fail("coordinate beyond 2^62");
  axis.always_in_bounds =
      axis.divisor == 1 && !axis.uses_words && low >= 0 && high < Wide{axis.size};
  axis.narrow = low >= -(Wide{1} << 31) && high < Wide{1} << 31;
  return axis;
}

Load read_load(Reader& reader, const Node& node, int index) {
  Load load{};
  load.operand = reader.u8();
  if (load.operand >= static_cast<int>(node.operands.size())) {
    reader.fail("operand " + std::to_string(load.operand) + " of " +
                std::to_string(node.operands.size()));
  }
  const Operand& operand = node.operands[load.operand];
  uint8_t flags = reader.u8();
  if (flags > 1) reader.fail("load flags " + std::to_string(flags) + ", expected 0 or 1");
  load.skip = flags != 0;
  load.fill = reader.u32();
  if (operand.dtype == DType::F32 && is_nan_word(load.fill) && load.fill != kCanonicalNan) {
    reader.fail("fill word is a NaN other than 0x7fc00000");
  }
  load.offset = reader.u64();
  Wide last = load.offset;
  for (int left = reader.count(kMaxAxes, "axes"); left > 0; --left) {
    load.axes.push_back(read_axis(reader, node, index));
    const Axis& axis = load.axes.back();
    last += Wide{axis.stride} * (axis.size - 1);
  }
  if (last >= operand.numel) {
    reader.fail("load " + std::to_string(index) + " reaches beyond its operand of " +
                std::to_string(operand.numel) + " elements");
  }
  return load;
}

void read_body(Reader& reader, Node& node) {
  const char accumulator = node.dtype == DType::F32 ? 'F' : 'I';
  std::string types(1, accumulator);
  for (const Load& load : node.loads) {
    types += node.operands[load.operand].dtype == DType::F32 ? 'F' : 'I';
  }
  for (int left = reader.count(64, "constants"); left > 0; --left) {
    uint8_t type = reader.u8();
    if (type > 1) reader.fail("constant type " + std::to_string(type) + ", expected 0 or 1");
    uint32_t word = reader.u32();
    if (type == 1 && is_nan_word(word) && word != kCanonicalNan) {
      reader.fail("constant is a NaN other than 0x7fc00000");
    }
    node.constants.push_back(word);
    types += type == 1 ? 'F' : 'I';
  }
  types.append(node.coordinates(), 'I');
  for (int left = reader.count(128, "instructions"); left > 0; --left) {
    Instruction instruction{};
    instruction.op = reader.u8();
    Signature signature = signature_of(instruction.op);
    if (signature.arguments == nullptr) {
      reader.fail("unknown opcode " + std::to_string(instruction.op));
    }
    instruction.arity = static_cast<uint8_t>(std::strlen(signature.arguments));
    for (int i = 0; i < 3; ++i) {
      uint8_t value = reader.u8();
      instruction.args[i] = value;
      bool used = i < instruction.arity;
      bool defined = value < types.size();
      if (used ? !defined || types[value] != signature.arguments[i] : value != 0) {
        reader.fail("argument " + std::to_string(i) + " of opcode " +
                    std::to_string(instruction.op) + " is value " + std::to_string(value) +
                    ", which is undefined, of the wrong type or unused");
      }
    }
    types += signature.result;
    node.instructions.push_back(instruction);
  }
  node.result = reader.u8();
  if (node.result >= static_cast<int>(types.size()) || types[node.result] != accumulator) {
    reader.fail("result is value " + std::to_string(node.result) +
                ", which is undefined or not of the accumulator's type");
  }
}

}  // namespace

Node parse_node(const uint8_t* bytes, size_t size) {
  Reader reader(bytes, size);
  if (size > kMaxNodeBytes) reader.fail("more than " + std::to_string(kMaxNodeBytes) + " bytes");
  if (reader.u8() != 0x01) reader.fail("first byte is not the node tag 0x01");
  Node node{};
  node.dtype = reader.dtype();
  node.shape = reader.shape(kMaxElements, &node.numel);
  node.domain = reader.shape(kMaxTerms, &node.terms);
  node.init = reader.u32();
  if (node.dtype == DType::F32 && is_nan_word(node.init) && node.init != kCanonicalNan) {
    reader.fail("init is a NaN other than 0x7fc00000");
  }
  for (int left = reader.count(16, "operands"); left > 0; --left) {
    uint8_t kind = reader.u8();
    if (kind > 2) reader.fail("operand kind " + std::to_string(kind));
    reader.u32();
    Operand operand{};
    operand.dtype = reader.dtype();
    reader.shape(kMaxElements, &operand.numel);
    node.operands.push_back(operand);
  }
  int loads = reader.count(kMaxLoads, "loads");
  for (int i = 0; i < loads; ++i) node.loads.push_back(read_load(reader, node, i));
  for (int left = reader.count(4, "guards"); left > 0; --left) {
    Guard guard{reader.u8(), reader.u8()};
    if (guard.load >= loads || node.load_dtype(guard.load) == DType::F32) {
      reader.fail("guard on load " + std::to_string(guard.load) + ", which is no integer load");
    }
    if (guard.coordinate >= node.rank()) {
      reader.fail("guard on output coordinate " + std::to_string(guard.coordinate) + " of " +
                  std::to_string(node.rank()));
    }
    node.guards.push_back(guard);
  }
  read_body(reader, node);
  reader.end();
  return node;
}

}  // namespace pinpoint
