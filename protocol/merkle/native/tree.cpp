#include "tree.h"

#include <algorithm>
#include <cstring>

#include "messages.h"
#include "parallel.h"

namespace pinpoint {
namespace {

constexpr uint8_t kLeafPrefix = 0x00;
constexpr uint8_t kNodePrefix = 0x01;

// Values and nodes that one piece of work covers. A power of two, so that a piece is a whole
// subtree; its nodes (16 KiB) stay in the first cache from the leaves to its root.
constexpr size_t kPiece = 512;

size_t pieces_of(size_t count) {
  return (count + kPiece - 1) / kPiece;
}

size_t leaves_of(Bytes buffer, size_t leaf_size) {
  return (buffer.size + leaf_size - 1) / leaf_size;
}

// Root of `count` >= 1 nodes, which are overwritten.
void fold(const Sha256& sha, uint8_t* nodes, size_t count, uint8_t* root) {
  for (; count > 1; count = (count + 1) / 2) hash_level(sha, nodes, count, nodes);
  std::memcpy(root, nodes, kDigestBytes);
}

}  // namespace

void hash_leaves(const Sha256& sha, Bytes buffer, size_t leaf_size, size_t first, size_t count,
                 uint8_t* out) {
  const size_t whole = std::min(count, buffer.size / leaf_size - first);
  const uint8_t* values = buffer.data + first * leaf_size;
  hash_messages(sha, kLeafPrefix, values, leaf_size, whole, out);
  if (whole < count) {
    const size_t rest = buffer.size % leaf_size;
    values += whole * leaf_size;
    hash_messages(sha, kLeafPrefix, values, rest, 1, out + whole * kDigestBytes);
  }
}

void hash_level(const Sha256& sha, const uint8_t* nodes, size_t count, uint8_t* parents) {
  constexpr size_t kPair = 2 * kDigestBytes;
  const size_t pairs = count / 2;
  hash_messages(sha, kNodePrefix, nodes, kPair, pairs, parents);
  if (count % 2 == 1) {
    std::memmove(parents + pairs * kDigestBytes, nodes + pairs * kPair, kDigestBytes);
  }
}

void hash_leaves_parallel(const Sha256& sha, Bytes buffer, size_t leaf_size, size_t threads,
                          uint8_t* out) {
  const size_t leaves = leaves_of(buffer, leaf_size);
  for_each_piece(pieces_of(leaves), threads, [&](size_t piece) {
    const size_t first = piece * kPiece;
    hash_leaves(sha, buffer, leaf_size, first, std::min(kPiece, leaves - first),
                out + first * kDigestBytes);
  });
}

void hash_level_parallel(const Sha256& sha, const uint8_t* nodes, size_t count, size_t threads,
                         uint8_t* parents) {
  for_each_piece(pieces_of(count), threads, [&](size_t piece) {
    const size_t first = piece * kPiece;
    hash_level(sha, nodes + first * kDigestBytes, std::min(kPiece, count - first),
               parents + first / 2 * kDigestBytes);
  });
}

void tensor_roots(const Sha256& sha, const std::vector<Bytes>& buffers, size_t threads,
                  uint8_t* out) {
  // Each piece is a subtree of up to kPiece chunks; its root goes to slot `piece`.
  std::vector<size_t> first_piece(1, 0);
  for (const Bytes& buffer : buffers) {
    first_piece.push_back(first_piece.back() + pieces_of(leaves_of(buffer, kChunkBytes)));
  }
  std::vector<uint8_t> roots(first_piece.back() * kDigestBytes);
  for_each_piece(first_piece.back(), threads, [&](size_t piece) {
    const auto above = std::upper_bound(first_piece.begin(), first_piece.end(), piece);
    const size_t tensor = static_cast<size_t>(above - first_piece.begin()) - 1;
    const size_t first = (piece - first_piece[tensor]) * kPiece;
    const size_t count = std::min(kPiece, leaves_of(buffers[tensor], kChunkBytes) - first);
    alignas(64) uint8_t nodes[kPiece * kDigestBytes];
    hash_leaves(sha, buffers[tensor], kChunkBytes, first, count, nodes);
    fold(sha, nodes, count, roots.data() + piece * kDigestBytes);
  });
  for (size_t i = 0; i < buffers.size(); ++i) {
    fold(sha, roots.data() + first_piece[i] * kDigestBytes, first_piece[i + 1] - first_piece[i],
         out + i * kDigestBytes);
  }
}

}  // namespace pinpoint
