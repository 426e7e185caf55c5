#include "tree.h"

#include <algorithm>
#include <cstring>

#include "parallel.h"

namespace pinpoint {
namespace {

constexpr uint8_t kLeafPrefix = 0x00;
constexpr uint8_t kNodePrefix = 0x01;

// Values and nodes that one piece of work covers. A power of two, so that a piece is a whole
// subtree.
constexpr size_t kPiece = 1024;

// A message of one prefix byte and `size` bytes, cut where the blocks fall: a first block that
// starts with the prefix, whole blocks read in place, and one or two last blocks with the padding.
struct Message {
  uint8_t head[kBlockBytes];
  uint8_t tail[2 * kBlockBytes];
  const uint8_t* middle;
  size_t head_blocks, middle_blocks, tail_blocks;

  Message(uint8_t prefix, const uint8_t* data, size_t size) {
    const size_t in_head = kBlockBytes - 1;
    const uint8_t* rest = data;
    size_t tail_bytes = 0;
    if (size >= in_head) {
      head[0] = prefix;
      std::memcpy(head + 1, data, in_head);
      head_blocks = 1;
      middle = data + in_head;
      middle_blocks = (size - in_head) / kBlockBytes;
      rest = middle + middle_blocks * kBlockBytes;
      tail_bytes = (size - in_head) % kBlockBytes;
      std::memcpy(tail, rest, tail_bytes);
    } else {
      head_blocks = middle_blocks = 0;
      middle = data;
      tail[0] = prefix;
      if (size > 0) std::memcpy(tail + 1, data, size);
      tail_bytes = size + 1;
    }
    tail_blocks = tail_bytes + 9 <= kBlockBytes ? 1 : 2;
    const size_t end = tail_blocks * kBlockBytes;
    std::memset(tail + tail_bytes, 0, end - tail_bytes);
    tail[tail_bytes] = 0x80;
    const uint64_t bits = (static_cast<uint64_t>(size) + 1) * 8;
    for (int i = 0; i < 8; ++i) tail[end - 1 - i] = static_cast<uint8_t>(bits >> (8 * i));
  }
};

void hash_one(const Sha256& sha, uint8_t prefix, const uint8_t* data, size_t size, uint8_t* out) {
  const Message m(prefix, data, size);
  uint32_t state[8];
  std::memcpy(state, kSha256Initial, sizeof state);
  sha.absorb(state, m.head, m.head_blocks);
  sha.absorb(state, m.middle, m.middle_blocks);
  sha.absorb(state, m.tail, m.tail_blocks);
  sha256_write(state, out);
}

// Two messages of the same size, interleaved. The outputs are written last: they may be the inputs.
void hash_two(const Sha256& sha, uint8_t prefix, const uint8_t* data0, const uint8_t* data1,
              size_t size, uint8_t* out0, uint8_t* out1) {
  const Message m0(prefix, data0, size), m1(prefix, data1, size);
  uint32_t state0[8], state1[8];
  std::memcpy(state0, kSha256Initial, sizeof state0);
  std::memcpy(state1, kSha256Initial, sizeof state1);
  sha.absorb_pair(state0, m0.head, state1, m1.head, m0.head_blocks);
  sha.absorb_pair(state0, m0.middle, state1, m1.middle, m0.middle_blocks);
  sha.absorb_pair(state0, m0.tail, state1, m1.tail, m0.tail_blocks);
  sha256_write(state0, out0);
  sha256_write(state1, out1);
}

size_t pieces_of(size_t count) { return (count + kPiece - 1) / kPiece; }

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
  const size_t whole = buffer.size / leaf_size;
  const size_t end = first + count;
  size_t i = first;
  for (; i + 1 < end && i + 1 < whole; i += 2, out += 2 * kDigestBytes) {
    const uint8_t* value = buffer.data + i * leaf_size;
    hash_two(sha, kLeafPrefix, value, value + leaf_size, leaf_size, out, out + kDigestBytes);
  }
  for (; i < end; ++i, out += kDigestBytes) {
    const size_t at = i * leaf_size;
    hash_one(sha, kLeafPrefix, buffer.data + at, std::min(leaf_size, buffer.size - at), out);
  }
}

void hash_level(const Sha256& sha, const uint8_t* nodes, size_t count, uint8_t* parents) {
  constexpr size_t kPair = 2 * kDigestBytes;
  const size_t pairs = count / 2;
  size_t i = 0;
  for (; i + 1 < pairs; i += 2) {
    const uint8_t* children = nodes + i * kPair;
    uint8_t* out = parents + i * kDigestBytes;
    hash_two(sha, kNodePrefix, children, children + kPair, kPair, out, out + kDigestBytes);
  }
  if (i < pairs) {
    hash_one(sha, kNodePrefix, nodes + i * kPair, kPair, parents + i * kDigestBytes);
  }
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
  // Each piece is a subtree of up to 1,024 chunks; its root goes to slot `piece`.
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
