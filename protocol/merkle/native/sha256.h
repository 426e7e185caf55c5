// SHA-256 (FIPS 180-4) block functions, chosen at run time.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pinpoint {

constexpr size_t kBlockBytes = 64;
constexpr size_t kDigestBytes = 32;

// One way to run the compression function over whole 64-byte blocks.
struct Sha256 {
  const char* name;

  // Absorbs `count` consecutive blocks into one state of eight words.
  void (*absorb)(uint32_t* state, const uint8_t* blocks, size_t count);

  // Absorbs `count` blocks into each of two independent states. The SHA instructions have a latency
  // of several cycles, so two interleaved streams run at nearly twice the speed of one.
  void (*absorb_pair)(uint32_t* state0, const uint8_t* blocks0, uint32_t* state1,
                      const uint8_t* blocks1, size_t count);
};

extern const uint32_t kSha256Initial[8];
extern const uint32_t kSha256Round[64];

const Sha256& sha256_portable();

// The x86 SHA extensions, or nullptr where this processor (or this build) has none.
const Sha256* sha256_shani();

// The implementation to use now: the fastest one, or the one that the environment variable
// PINPOINT_SHA names ("portable" or "shani"). Throws std::invalid_argument for another name and
// std::runtime_error if this processor cannot run the named one.
const Sha256& sha256_select();

// Writes a state as the 32 bytes of a digest, big-endian words.
void sha256_write(const uint32_t* state, uint8_t* digest);

}  // namespace pinpoint
