#include "messages.h"

#include <algorithm>
#include <cstring>

namespace pinpoint {
namespace {

// Bytes of a value that share the first block with the prefix.
constexpr size_t kInHead = kBlockBytes - 1;

// Where a message of a prefix byte and `size` bytes is cut: a first block that starts with the
// prefix, whole blocks read in place, and one or two last blocks with the padding. A message too
// short to fill a block is all tail.
struct Cut {
  explicit Cut(size_t size) : bits((static_cast<uint64_t>(size) + 1) * 8) {
    if (size >= kInHead) {
      head = 1;
      middle = (size - kInHead) / kBlockBytes;
      tail_from = kInHead + middle * kBlockBytes;
    }
    tail_bytes = size - tail_from;
    tail = (1 - head) + tail_bytes + 9 <= kBlockBytes ? 1 : 2;
  }

  uint64_t bits;    // length of the message
  size_t head = 0;  // blocks of each part
  size_t middle = 0;
  size_t tail = 0;
  size_t tail_from = 0;  // the bytes of the value that the tail holds
  size_t tail_bytes = 0;
};

// The blocks of one message that are written beside the data.
struct Edges {
  uint8_t head[kBlockBytes];
  uint8_t tail[2 * kBlockBytes];

  // What is the same for all messages of this cut.
  void prepare(const Cut& cut, uint8_t prefix) {
    head[0] = prefix;
    tail[0] = prefix;
    uint8_t* padding = tail_bytes(cut) + cut.tail_bytes;
    uint8_t* end = tail + cut.tail * kBlockBytes;
    std::memset(padding, 0, static_cast<size_t>(end - padding));
    padding[0] = 0x80;
    for (int i = 0; i < 8; ++i) *--end = static_cast<uint8_t>(cut.bits >> (8 * i));
  }

  void fill(const Cut& cut, const uint8_t* value) {
    if (cut.head == 1) std::memcpy(head + 1, value, kInHead);
    uint8_t* to = tail_bytes(cut);
    const uint8_t* from = value + cut.tail_from;
    if (cut.tail_bytes == 1) {
      *to = *from;  // chunks and nodes: a call of memcpy for each would be felt
    } else if (cut.tail_bytes > 0) {
      std::memcpy(to, from, cut.tail_bytes);
    }
  }

  uint8_t* tail_bytes(const Cut& cut) { return tail + (1 - cut.head); }
};

// One pass of a kernel over `count` <= kernel.lanes values; free lanes repeat the first value.
// Another such pass follows where `more` is set.
void pass(const Kernel& kernel, const Cut& cut, Edges* edges, const uint8_t* values, size_t size,
          size_t count, bool more, uint8_t* digests) {
  Part parts[kParts] = {};
  parts[0].count = cut.head;
  parts[1].count = cut.middle;
  parts[1].ahead = more ? count * size : 0;
  parts[2].count = cut.tail;
  uint8_t unused[kDigestBytes];
  uint8_t* to[kMostLanes];
  for (size_t lane = 0; lane < kernel.lanes; ++lane) {
    const size_t i = lane < count ? lane : 0;
    const uint8_t* value = values + i * size;
    if (lane < count) edges[lane].fill(cut, value);
    parts[0].starts[lane] = edges[i].head;
    parts[1].starts[lane] = value + cut.head * kInHead;
    parts[2].starts[lane] = edges[i].tail;
    to[lane] = lane < count ? digests + lane * kDigestBytes : unused;
  }
  kernel.digest(parts, to);
}

}  // namespace

void hash_messages(const Sha256& sha, uint8_t prefix, const uint8_t* values, size_t size,
                   size_t count, uint8_t* digests) {
  const Cut cut(size);
  Edges edges[kMostLanes];
  for (size_t i = 0; i < std::min(count, kMostLanes); ++i) edges[i].prepare(cut, prefix);
  for (const Kernel& kernel : sha.kernels) {
    while (count >= kernel.least && count > 0) {
      const size_t now = std::min(count, kernel.lanes);
      count -= now;
      pass(kernel, cut, edges, values, size, now, count >= kernel.lanes, digests);
      values += now * size;
      digests += now * kDigestBytes;
    }
  }
}

}  // namespace pinpoint
