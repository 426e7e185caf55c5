// protocol.merkle._hash: tensors and levels of trees, hashed in bulk. Documented in _hash.pyi.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tree.h"

namespace nb = nanobind;
using namespace pinpoint;

namespace {

using Digests = nb::ndarray<nb::numpy, uint8_t, nb::ndim<2>>;
using ConstDigests =
    nb::ndarray<const uint8_t, nb::shape<-1, kDigestBytes>, nb::c_contig, nb::device::cpu>;

// A C-contiguous buffer of any Python object that exports one, held while this object lives.
class View {
 public:
  explicit View(nb::handle object) {
    if (PyObject_GetBuffer(object.ptr(), &view_, PyBUF_C_CONTIGUOUS) != 0) throw nb::python_error();
  }
  ~View() { PyBuffer_Release(&view_); }
  View(const View&) = delete;
  View& operator=(const View&) = delete;

  Bytes bytes() const {
    return {static_cast<const uint8_t*>(view_.buf), static_cast<size_t>(view_.len)};
  }

 private:
  Py_buffer view_{};
};

using Name = std::optional<std::string>;

const Sha256& selected(const Name& sha256) {
  return sha256_select(sha256.has_value() ? sha256->c_str() : nullptr);
}

size_t checked_threads(int threads) {
  if (threads < 1) {
    throw std::invalid_argument("threads is " + std::to_string(threads) + ": give at least 1");
  }
  return static_cast<size_t>(threads);
}

// A new array of shape (count, 32); its memory belongs to Python.
Digests new_digests(size_t count) {
  auto memory = std::make_unique<uint8_t[]>(count == 0 ? 1 : count * kDigestBytes);
  uint8_t* data = memory.get();
  nb::capsule owner(data, [](void* p) noexcept { delete[] static_cast<uint8_t*>(p); });
  memory.release();
  return Digests(data, {count, kDigestBytes}, owner);
}

Digests leaf_hashes(nb::handle buffer, size_t leaf_size, int threads, const Name& sha256) {
  const size_t limit = checked_threads(threads);
  if (leaf_size == 0) {
    throw std::invalid_argument("leaf_size is 0: a value of a leaf has at least one byte here");
  }
  const View view(buffer);
  const Bytes bytes = view.bytes();
  const Sha256& sha = selected(sha256);
  Digests out = new_digests(bytes.size / leaf_size + (bytes.size % leaf_size != 0));
  uint8_t* data = out.data();
  nb::gil_scoped_release release;
  hash_leaves_parallel(sha, bytes, leaf_size, limit, data);
  return out;
}

nb::list levels(ConstDigests leaves, int threads, const Name& sha256) {
  const size_t limit = checked_threads(threads);
  if (leaves.shape(0) == 0) {
    throw std::invalid_argument("no leaf hashes: a tree has at least one leaf");
  }
  const Sha256& sha = selected(sha256);
  nb::list above;
  const uint8_t* nodes = leaves.data();
  Digests previous;  // keeps `nodes` alive whatever the list holds
  for (size_t count = leaves.shape(0); count > 1; count = (count + 1) / 2) {
    Digests parents = new_digests((count + 1) / 2);
    uint8_t* data = parents.data();
    {
      nb::gil_scoped_release release;
      hash_level_parallel(sha, nodes, count, limit, data);
    }
    above.append(parents.cast());
    nodes = data;
    previous = std::move(parents);
  }
  return above;
}

nb::list roots_of(nb::sequence buffers, int threads, const Name& sha256) {
  const size_t limit = checked_threads(threads);
  const Sha256& sha = selected(sha256);
  std::vector<std::unique_ptr<View>> views;
  std::vector<Bytes> bytes;
  for (nb::handle buffer : buffers) {
    views.push_back(std::make_unique<View>(buffer));
    bytes.push_back(views.back()->bytes());
    if (bytes.back().size == 0) {
      throw std::invalid_argument("tensor " + std::to_string(bytes.size() - 1) +
                                  " has 0 bytes: a tensor has at least one element");
    }
  }
  std::vector<uint8_t> roots(bytes.size() * kDigestBytes);
  {
    nb::gil_scoped_release release;
    tensor_roots(sha, bytes, limit, roots.data());
  }
  nb::list out;
  for (size_t i = 0; i < bytes.size(); ++i) {
    out.append(nb::bytes(roots.data() + i * kDigestBytes, kDigestBytes));
  }
  return out;
}

}  // namespace

NB_MODULE(_hash, m) {
  m.doc() = "SHA-256 of tensors and Merkle trees in bulk";
  nb::exception<ImplementationError>(m, "ImplementationError", PyExc_ValueError);
  m.def("implementations", [] {
    nb::list names;
    for (const Sha256& sha : sha256_implementations()) names.append(sha.name);
    return names;
  });
  m.def("implementation", [] { return sha256_select(nullptr).name; });
  m.def("leaf_hashes", &leaf_hashes, nb::arg("buffer"), nb::arg("leaf_size"),
        nb::arg("threads") = 1, nb::arg("sha256") = nb::none());
  m.def("levels", &levels, nb::arg("leaf_hashes"), nb::arg("threads") = 1,
        nb::arg("sha256") = nb::none());
  m.def("tensor_roots", &roots_of, nb::arg("buffers"), nb::arg("threads") = 1,
        nb::arg("sha256") = nb::none());
}
