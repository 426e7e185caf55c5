// Python module `_cpu`: folds on numpy arrays. Everything that comes from Python is checked here.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <stdexcept>

#include "engine.h"
#include "schedule.h"

namespace nb = nanobind;

namespace {

using pinpoint::BlockOps;
using pinpoint::DType;
using pinpoint::Kernel;
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
  nb::dlpack::dtype expected = dtype == DType::F32   ? nb::dtype<float>()
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

// Checks that the arrays are what the node reads; their addresses.
std::vector<const void*> addresses(const Node& node, const std::vector<Input>& arrays) {
  if (arrays.size() != node.operands.size()) {
    throw std::invalid_argument(std::to_string(arrays.size()) + " operands, the node has " +
                                std::to_string(node.operands.size()));
  }
  std::vector<const void*> operands;
  for (size_t i = 0; i < arrays.size(); ++i) {
    check_array(arrays[i], node.operands[i].dtype, node.operands[i].numel,
                "operand " + std::to_string(i));
    operands.push_back(arrays[i].data());
  }
  return operands;
}

Node parse(const nb::bytes& bytes) {
  return pinpoint::parse_node(reinterpret_cast<const uint8_t*>(bytes.c_str()), bytes.size());
}

// A node made ready for one instruction set.
class PreparedNode {
 public:
  PreparedNode(const nb::bytes& bytes, const std::string& isa, int64_t grain,
               int64_t most_table_bytes)
      : node_(std::make_shared<const Node>(parse(bytes))) {
    keep(pinpoint::prepare(*node_, find_ops(isa), grain, most_table_bytes));
  }

  // By machine code for this very node.
  PreparedNode(const nb::bytes& bytes, const pinpoint::Work& work)
      : node_(std::make_shared<const Node>(parse(bytes))) {
    keep(pinpoint::prepare_code(*node_, work));
  }

  std::string name() const { return kernel_->name(); }
  int64_t table_bytes() const { return kernel_->table_bytes(); }
  std::shared_ptr<const Kernel> kernel() const { return kernel_; }

  void run(const std::vector<Input>& arrays, const Output& out, int threads) const {
    std::vector<const void*> operands = addresses(*node_, arrays);
    check_array(out, node_->dtype, node_->numel, "output");
    if (threads < 1) throw std::invalid_argument("threads must be at least 1");
    const uint8_t* begin = static_cast<const uint8_t*>(out.data());
    const uint8_t* end = begin + out.nbytes();
    for (size_t i = 0; i < arrays.size(); ++i) {
      const uint8_t* from = static_cast<const uint8_t*>(operands[i]);
      if (from < end && begin < from + arrays[i].nbytes()) {
        throw std::invalid_argument("output overlaps operand " + std::to_string(i));
      }
    }
    nb::gil_scoped_release release;
    kernel_->run(operands.data(), out.data(), threads);
  }

 private:
  // A kernel refers to its node: whoever holds the one holds the other.
  void keep(std::shared_ptr<const Kernel> kernel) {
    kernel_ = std::shared_ptr<const Kernel>(
        kernel.get(), [kernel, node = node_](const Kernel*) mutable { kernel.reset(); });
  }

  std::shared_ptr<const Node> node_;
  std::shared_ptr<const Kernel> kernel_;
};

// A schedule and the sizes of its buffers: what is bound is checked, what runs is trusted.
class PySchedule {
 public:
  explicit PySchedule(std::vector<int64_t> sizes)
      : sizes_(std::move(sizes)), schedule_(static_cast<int>(sizes_.size())) {}

  void add_code(const pinpoint::Work& work, std::vector<int> buffers) {
    schedule_.add_code(work, std::move(buffers));
  }

  void add_kernel(const PreparedNode& node, std::vector<int> operands, int out) {
    schedule_.add_kernel(node.kernel(), std::move(operands), out);
  }

  void add_barrier() { schedule_.add_barrier(); }

  void bind(int buffer, const Input& array) {
    if (buffer < 0 || buffer >= static_cast<int>(sizes_.size())) {
      throw std::invalid_argument("buffer " + std::to_string(buffer) + " of " +
                                  std::to_string(sizes_.size()));
    }
    if (static_cast<int64_t>(array.nbytes()) != sizes_[buffer]) {
      throw std::invalid_argument("buffer " + std::to_string(buffer) + " takes " +
                                  std::to_string(sizes_[buffer]) + " bytes, got " +
                                  std::to_string(array.nbytes()));
    }
    if (reinterpret_cast<uintptr_t>(array.data()) % 4 != 0) {
      throw std::invalid_argument("buffer " + std::to_string(buffer) +
                                  ": not aligned to its element size");
    }
    schedule_.bind(buffer, const_cast<void*>(array.data()));
  }

  void run(int threads) const {
    if (threads < 1) throw std::invalid_argument("threads must be at least 1");
    if (!schedule_.is_bound()) throw std::invalid_argument("a buffer is not bound to an array");
    nb::gil_scoped_release release;
    schedule_.run(threads);
  }

 private:
  std::vector<int64_t> sizes_;
  pinpoint::Schedule schedule_;
};

void fold(nb::bytes bytes, std::vector<Input> arrays, int64_t element,
          nb::ndarray<uint32_t, nb::ndim<2>, nb::c_contig, nb::device::cpu> rows,
          const std::string& isa) {
  const Node node = parse(bytes);
  std::vector<const void*> operands = addresses(node, arrays);
  if (element < 0 || element >= node.numel) {
    throw std::invalid_argument("element " + std::to_string(element) + " of " +
                                std::to_string(node.numel));
  }
  if (static_cast<int64_t>(rows.shape(0)) != node.terms || rows.shape(1) != 1 + node.loads.size()) {
    throw std::invalid_argument("rows must have shape (" + std::to_string(node.terms) + ", " +
                                std::to_string(1 + node.loads.size()) + ")");
  }
  const BlockOps& ops = find_ops(isa);
  nb::gil_scoped_release release;
  pinpoint::fold_element(node, operands.data(), element, rows.data(), ops);
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
  nb::class_<pinpoint::Work>(m, "Work", "Machine code and how its units may be cut into jobs.")
      .def(
          "__init__",
          [](pinpoint::Work* work, uintptr_t address, int64_t units, int64_t grain, int64_t granule,
             int64_t scratch_bytes) {
            *work = {reinterpret_cast<pinpoint::Code>(address), units, grain, granule,
                     scratch_bytes};
            pinpoint::check(*work);
          },
          nb::arg("address"), nb::arg("units"), nb::arg("grain"), nb::arg("granule"),
          nb::arg("scratch_bytes"));
  nb::class_<PreparedNode>(m, "Kernel", "A node made ready for one instruction set.")
      .def(nb::init<const nb::bytes&, const std::string&, int64_t, int64_t>(), nb::arg("node"),
           nb::arg("isa") = "", nb::arg("grain") = 32768, nb::arg("most_table_bytes") = INT64_MAX)
      .def(nb::init<const nb::bytes&, const pinpoint::Work&>(), nb::arg("node"), nb::arg("work"))
      .def_prop_ro("name", &PreparedNode::name, "The way of computing that was chosen.")
      .def_prop_ro("table_bytes", &PreparedNode::table_bytes,
                   "Memory that it keeps beside the descriptor, about.")
      .def("run", &PreparedNode::run, nb::arg("operands"), nb::arg("out"), nb::arg("threads"),
           "Computes the node into `out`. Releases the GIL.");
  nb::class_<PySchedule>(m, "Schedule", "Kernels over numbered buffers, run by one call.")
      .def(nb::init<std::vector<int64_t>>(), nb::arg("sizes"))
      .def("add_code", &PySchedule::add_code, nb::arg("work"), nb::arg("buffers"))
      .def("add_kernel", &PySchedule::add_kernel, nb::arg("kernel"), nb::arg("operands"),
           nb::arg("out"))
      .def("add_barrier", &PySchedule::add_barrier)
      .def("bind", &PySchedule::bind, nb::arg("buffer"), nb::arg("array").noconvert())
      .def("run", &PySchedule::run, nb::arg("threads"), "Releases the GIL.");
  m.def("fold", &fold, nb::arg("node"), nb::arg("operands"), nb::arg("element"), nb::arg("rows"),
        nb::arg("isa") = "",
        "Writes (accumulator, words) of every term of one output element. Releases the GIL.");
  m.def("build_flags", [] { return std::string(PINPOINT_FLAGS); }, "Compiler flags of the build.");
  m.def("instruction_sets", &instruction_sets,
        "Names of the instruction sets of this machine, best first.");
}
