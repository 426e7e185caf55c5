// SHA-256 (FIPS 180-4) of several messages at a time, by the instructions that are chosen at run
// time. Every implementation gives the same bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

namespace pinpoint {

constexpr size_t kBlockBytes = 64;
constexpr size_t kDigestBytes = 32;

// The most messages that any kernel hashes at a time.
constexpr size_t kMostLanes = 16;

// A stretch of `count` whole blocks of each message: those of message `lane` start at
// starts[lane]. Where `ahead` is not 0, the next pass reads what lies that many bytes after each
// block: messages side by side are more streams than a processor prefetches well by itself.
struct Part {
  const uint8_t* starts[kMostLanes];
  size_t count;
  size_t ahead;
};

// Asks for what the next pass reads `offset` bytes after the starts of the first `lanes` messages.
inline void prefetch_next(const Part& part, size_t lanes, size_t offset) {
  if (part.ahead == 0) return;
  for (size_t i = 0; i < lanes; ++i) __builtin_prefetch(part.starts[i] + offset + part.ahead);
}

// A message is cut in three: where its prefix byte and its padding are written beside the data, the
// blocks are copies; between them they are read in place.
constexpr size_t kParts = 3;

// One way to hash a fixed number of padded messages of the same length side by side.
struct Kernel {
  size_t lanes;  // messages at a time
  size_t least;  // fewer messages than this are left to the next kernel of the implementation

  // Digest of message `lane` to digests[lane], for each lane < lanes.
  void (*digest)(const Part* parts, uint8_t* const* digests);
};

// A named implementation: kernels of falling width. The last one has least == 1.
struct Sha256 {
  const char* name;
  std::vector<Kernel> kernels;
};

extern const uint32_t kSha256Initial[8];
extern const uint32_t kSha256Round[64];

// Kernels of one instruction set; none where this processor (or this build) lacks it. One message
// at a time in plain C++; the x86 SHA extensions; 16 and 8 messages in vector lanes; Armv8's SHA-2
// instructions.
std::vector<Kernel> sha256_portable();
std::vector<Kernel> sha256_shani();
std::vector<Kernel> sha256_avx512();
std::vector<Kernel> sha256_avx2();
std::vector<Kernel> sha256_armv8();

// An implementation was named that this machine does not have. Python sees a ValueError.
struct ImplementationError : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

// All implementations that this machine has; the last one is "portable".
const std::vector<Sha256>& sha256_implementations();

// The implementation of this name; for nullptr the one that the environment variable
// PINPOINT_SHA256 names, or else the fastest. Throws ImplementationError.
const Sha256& sha256_select(const char* name);

}  // namespace pinpoint
