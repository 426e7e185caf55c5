// Hashes slices of a file with every implementation that the machine has, and prints the digests.
//
//   sha256_driver FILE
//
// One line for each implementation ("have NAME"), then one for each case:
//   leaves NAME SIZE COUNT DIGEST...    hash_messages, prefix 0, of COUNT values of SIZE bytes
//   nodes NAME COUNT DIGEST...          one level above COUNT nodes, made in place
//   root NAME SIZE THREADS DIGEST       root of the tensor of the first SIZE bytes
// Everything starts at the second byte of the file, so that nothing is aligned.
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <vector>

#include "messages.h"
#include "sha256.h"
#include "tree.h"

namespace {

using namespace pinpoint;

void print(const std::vector<uint8_t>& digests) {
  for (size_t i = 0; i < digests.size(); ++i) {
    std::printf("%s%02x", i % kDigestBytes == 0 ? " " : "", digests[i]);
  }
  std::printf("\n");
}

void print_leaves(const Sha256& sha, const uint8_t* data) {
  for (size_t size : {0, 1, 12, 54, 55, 56, 62, 63, 64, 65, 119, 127, 1023, 1024, 1025}) {
    for (size_t count : {1, 2, 3, 4, 5, 7, 17}) {
      std::vector<uint8_t> digests(count * kDigestBytes);
      hash_messages(sha, 0, data, size, count, digests.data());
      std::printf("leaves %s %zu %zu", sha.name, size, count);
      print(digests);
    }
  }
}

void print_nodes(const Sha256& sha, const uint8_t* data) {
  for (size_t count = 2; count < 20; ++count) {
    std::vector<uint8_t> nodes(data, data + count * kDigestBytes);
    hash_level(sha, nodes.data(), count, nodes.data());
    nodes.resize((count + 1) / 2 * kDigestBytes);
    std::printf("nodes %s %zu", sha.name, count);
    print(nodes);
  }
}

void print_roots(const Sha256& sha, const uint8_t* data) {
  for (size_t size : {1, 1023, 1024, 1025, 512 * 1024, 513 * 1024 + 7}) {
    for (size_t threads = 1; threads <= 5; ++threads) {
      std::vector<uint8_t> root(kDigestBytes);
      tensor_roots(sha, {Bytes{data, size}}, threads, root.data());
      std::printf("root %s %zu %zu", sha.name, size, threads);
      print(root);
    }
  }
}

}  // namespace

int main(int arguments, char** argument) {
  if (arguments != 2) {
    std::fprintf(stderr, "usage: sha256_driver FILE\n");
    return 2;
  }
  std::ifstream file(argument[1], std::ios::binary);
  const std::vector<uint8_t> bytes{std::istreambuf_iterator<char>(file), {}};
  if (bytes.size() < 514 * 1024) {
    std::fprintf(stderr, "%s has %zu bytes: give at least %d\n", argument[1], bytes.size(),
                 514 * 1024);
    return 2;
  }
  const uint8_t* data = bytes.data() + 1;
  for (const Sha256& sha : sha256_implementations()) {
    std::printf("have %s\n", sha.name);
    print_leaves(sha, data);
    print_nodes(sha, data);
    print_roots(sha, data);
  }
  return 0;
}
