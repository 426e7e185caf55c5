// Python module `_cpu`: folds on numpy arrays. Everything that comes from Python is checked here.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>

#include "engine.h"

namespace nb = nanobind;

namespace {

using pinpoint::BlockOps;
using pinpoint::DType;
using pinpoint::Node;
using Input = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;
using Output = nb::ndarray<nb::c_contig, nb::device::cpu>;

const BlockOps& find_ops(const std::string& name) {
  int count = 0;
  const BlockOps* const* tables = pinpoint::available_ops(&count);
  if (name.empty()) return *tables[0];
  std::string known;
  for (int i = 0; i < count; ++i) {
    if (name == tables[i]->name) return *tables[i];
    known += std::string(i == 0 ? "" : ", ") + tables[i]->name;
  }
  throw std::invalid_argument("instruction set '" + name + "' is not available here: use one of " +
                              known);
}

template <typename Array>
void check_array(const Array& array, DType dtype, int64_t numel, const std::string& what) {
  nb::dlpack::dtype expected =
      dtype == DType::F32   ? nb::dtype<float>()
      : dtype == DType::I32 ? nb::dtype<int32_t>()
                            : nb::dtype<uint8_t>();
  if (array.dtype() != expected) {
    throw std::invalid_argument(what + ": dtype differs from the node's, which is " +
                                (dtype == DType::F32   ? "float32"
                                 : dtype == DType::I32 ? "int32"
                                                       : "uint8"));
  }
  if (static_cast<int64_t>(array.size()) != numel) {
    throw std::invalid_argument(what + ": " + std::to_string(array.size()) +
                                " elements, the node says " + std::to_string(numel));
  }
  if (reinterpret_cast<uintptr_t>(array.data()) % pinpoint::width_of(dtype) != 0) {
    throw std::invalid_argument(what + ": not aligned to its element size");
  }
}

struct Call {
  Call(const nb::bytes& bytes, const std::vector<Input>& arrays)
      : node(pinpoint::parse_node(reinterpret_cast<const uint8_t*>(bytes.c_str()), bytes.size())) {
    if (arrays.size() != node.operands.size()) {
      throw std::invalid_argument(std::to_string(arrays.size()) + " operands, the node has " +
                                  std::to_string(node.operands.size()));
    }
    for (size_t i = 0; i < arrays.size(); ++i) {
      check_array(arrays[i], node.operands[i].dtype, node.operands[i].numel,
                  "operand " + std::to_string(i));
      operands.push_back(arrays[i].data());
    }
  }

  Node node;
  std::vector<const void*> operands;
};

void run(nb::bytes bytes, std::vector<Input> arrays, Output out, int threads,
         const std::string& isa, int64_t grain) {
  Call call(bytes, arrays);
  const Node& node = call.node;
  check_array(out, node.dtype, node.numel, "output");
  if (threads < 1) throw std::invalid_argument("threads must be at least 1");
  const uint8_t* begin = static_cast<const uint8_t*>(out.data());
  const uint8_t* end = begin + out.nbytes();
  for (size_t i = 0; i < arrays.size(); ++i) {
    const uint8_t* from = static_cast<const uint8_t*>(call.operands[i]);
    if (from < end && begin < from + arrays[i].nbytes()) {
      throw std::invalid_argument("output overlaps operand " + std::to_string(i));
    }
  }
  const BlockOps& ops = find_ops(isa);
  nb::gil_scoped_release release;
  pinpoint::run_node(node, call.operands.data(), out.data(), threads, grain, ops);
}

void fold(nb::bytes bytes, std::vector<Input> arrays, int64_t element,
          nb::ndarray<uint32_t, nb::ndim<2>, nb::c_contig, nb::device::cpu> rows,
          const std::string& isa) {
  Call call(bytes, arrays);
  const Node& node = call.node;
  if (element < 0 || element >= node.numel) {
    throw std::invalid_argument("element " + std::to_string(element) + " of " +
                                std::to_string(node.numel));
  }
  if (static_cast<int64_t>(rows.shape(0)) != node.terms ||
      rows.shape(1) != 1 + node.loads.size()) {
    throw std::invalid_argument("rows must have shape (" + std::to_string(node.terms) + ", " +
                                std::to_string(1 + node.loads.size()) + ")");
  }
  const BlockOps& ops = find_ops(isa);
  nb::gil_scoped_release release;
  pinpoint::fold_element(node, call.operands.data(), element, rows.data(), ops);
}

std::vector<std::string> instruction_sets() {
  int count = 0;
  const BlockOps* const* tables = pinpoint::available_ops(&count);
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i) names.push_back(tables[i]->name);
  return names;
}

}  // namespace

NB_MODULE(_cpu, m) {
  m.doc() = "Fold engine on the CPU.";
  m.def("run", &run, nb::arg("node"), nb::arg("operands"), nb::arg("out"), nb::arg("threads"),
        nb::arg("isa") = "", nb::arg("grain") = 32768,
        "Computes the node into `out`. Releases the GIL.");
  m.def("fold", &fold, nb::arg("node"), nb::arg("operands"), nb::arg("element"), nb::arg("rows"),
        nb::arg("isa") = "",
        "Writes (accumulator, words) of every term of one output element. Releases the GIL.");
  m.def("build_flags", [] { return std::string(PINPOINT_FLAGS); }, "Compiler flags of the build.");
  m.def("instruction_sets", &instruction_sets,
        "Names of the instruction sets of this machine, best first.");
}
