// Computes the folds of a file with every instruction set and 1, 2 and 3 threads.
//
//   fold_driver CASES OUTPUTS      prints the names of the instruction sets
//
// CASES, little-endian: u32 count; each: u32 length, the node's bytes; u32 operands, each u64
// length and its bytes; i64 element. OUTPUTS, for each case and each instruction set: the output of
// each number of threads, then the rows of the fold of the element.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <utility>
#include <vector>

#include "block_ops.h"
#include "engine.h"
#include "node.h"

namespace {

using namespace pinpoint;

constexpr int kMostThreads = 3;

class Reader {
 public:
  explicit Reader(std::vector<char> bytes) : bytes_(std::move(bytes)) {}

  template <typename Number>
  Number number() {
    Number value;
    std::memcpy(&value, take(sizeof value), sizeof value);
    return value;
  }
  const char* take(size_t size) {
    const char* at = &bytes_.at(at_);
    at_ += size;
    return at;
  }

 private:
  std::vector<char> bytes_;
  size_t at_ = 0;
};

// Bytes at an address that fits every element type.
struct Tensor {
  explicit Tensor(size_t bytes) : size(bytes), words(bytes / 4 + 1) {}
  size_t size;
  std::vector<uint32_t> words;
};

void write(std::ofstream& file, const Tensor& tensor) {
  file.write(reinterpret_cast<const char*>(tensor.words.data()),
             static_cast<std::streamsize>(tensor.size));
}

void run_case(Reader& cases, std::ofstream& outputs) {
  const uint32_t length = cases.number<uint32_t>();
  const Node node = parse_node(reinterpret_cast<const uint8_t*>(cases.take(length)), length);
  std::vector<Tensor> tensors;
  std::vector<const void*> operands;
  for (uint32_t i = cases.number<uint32_t>(); i > 0; --i) {
    tensors.emplace_back(cases.number<uint64_t>());
    std::memcpy(tensors.back().words.data(), cases.take(tensors.back().size), tensors.back().size);
  }
  for (const Tensor& tensor : tensors) operands.push_back(tensor.words.data());
  const int64_t element = cases.number<int64_t>();

  int sets = 0;
  const BlockOps* const* tables = available_ops(&sets);
  for (int set = 0; set < sets; ++set) {
    for (int threads = 1; threads <= kMostThreads; ++threads) {
      Tensor out(static_cast<size_t>(node.numel * width_of(node.dtype)));
      run_node(node, operands.data(), out.words.data(), threads, 0, *tables[set]);
      write(outputs, out);
    }
    Tensor rows(static_cast<size_t>(node.terms) * (1 + node.loads.size()) * sizeof(uint32_t));
    fold_element(node, operands.data(), element, rows.words.data(), *tables[set]);
    write(outputs, rows);
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) {
    std::fprintf(stderr, "usage: fold_driver CASES OUTPUTS\n");
    return 2;
  }
  try {
    std::ifstream file(arguments[1], std::ios::binary);
    Reader cases({std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()});
    std::ofstream outputs(arguments[2], std::ios::binary);
    for (uint32_t left = cases.number<uint32_t>(); left > 0; --left) run_case(cases, outputs);
    outputs.close();
    if (!outputs) throw std::runtime_error("outputs could not be written");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "fold_driver: %s\n", error.what());
    return 1;
  }
  int sets = 0;
  const BlockOps* const* tables = available_ops(&sets);
  for (int set = 0; set < sets; ++set) std::printf("%s\n", tables[set]->name);
  return 0;
}
