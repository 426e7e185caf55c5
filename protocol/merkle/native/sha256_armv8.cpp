// SHA-256 with the SHA-2 instructions of Armv8, on one message or on several interleaved: an
// instruction's result takes longer than the next start.
//
// Source: the Arm C Language Extensions (SHA256H, SHA256H2, SHA256SU0, SHA256SU1). One step below
// is four rounds.
#include "sha256.h"

#if defined(__aarch64__) && defined(__linux__)

#include <arm_neon.h>
#include <asm/hwcap.h>
#include <sys/auxv.h>

#if defined(__clang__)
#define PINPOINT_SHA2 __attribute__((target("sha2")))
#else
#define PINPOINT_SHA2 __attribute__((target("+crypto")))
#endif
#define PINPOINT_SHA2_INLINE PINPOINT_SHA2 __attribute__((always_inline)) inline

namespace pinpoint {
namespace {

struct Stream {
  uint32x4_t abcd, efgh;
  uint32x4_t w[4];  // the last sixteen schedule words
};

PINPOINT_SHA2_INLINE void start(Stream& s) {
  s.abcd = vld1q_u32(kSha256Initial);
  s.efgh = vld1q_u32(kSha256Initial + 4);
}

PINPOINT_SHA2_INLINE void store_digest(const Stream& s, uint8_t* digest) {
  vst1q_u8(digest, vrev32q_u8(vreinterpretq_u8_u32(s.abcd)));
  vst1q_u8(digest + 16, vrev32q_u8(vreinterpretq_u8_u32(s.efgh)));
}

// Rounds 4*Step .. 4*Step+3; the schedule word that they used becomes the one sixteen later.
template <int Step>
PINPOINT_SHA2_INLINE void step(Stream& s, const uint8_t* block) {
  if constexpr (Step < 4) {
    s.w[Step] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(block + 16 * Step)));
  }
  uint32x4_t& now = s.w[Step % 4];
  const uint32x4_t sum = vaddq_u32(now, vld1q_u32(kSha256Round + 4 * Step));
  const uint32x4_t abcd = s.abcd;
  s.abcd = vsha256hq_u32(s.abcd, s.efgh, sum);
  s.efgh = vsha256h2q_u32(s.efgh, abcd, sum);
  if constexpr (Step >= 3 && Step < 15) {
    // The words of step Step-3 are spent, those of the three steps after it known.
    uint32x4_t& next = s.w[(Step + 1) % 4];
    next = vsha256su1q_u32(vsha256su0q_u32(next, s.w[(Step + 2) % 4]), s.w[(Step + 3) % 4], now);
  }
}

template <int Step, int Streams>
PINPOINT_SHA2_INLINE void steps(Stream* streams, const uint8_t* const* blocks) {
  for (int i = 0; i < Streams; ++i) step<Step>(streams[i], blocks[i]);
  if constexpr (Step < 15) steps<Step + 1, Streams>(streams, blocks);
}

template <int Streams>
PINPOINT_SHA2_INLINE void absorb(Stream* streams, const uint8_t* const* starts, size_t offset) {
  const uint8_t* blocks[Streams];
  uint32x4_t abcd[Streams], efgh[Streams];
  for (int i = 0; i < Streams; ++i) {
    blocks[i] = starts[i] + offset;
    abcd[i] = streams[i].abcd;
    efgh[i] = streams[i].efgh;
  }
  steps<0, Streams>(streams, blocks);
  for (int i = 0; i < Streams; ++i) {
    streams[i].abcd = vaddq_u32(streams[i].abcd, abcd[i]);
    streams[i].efgh = vaddq_u32(streams[i].efgh, efgh[i]);
  }
}

template <int Streams>
PINPOINT_SHA2 void digest(const Part* parts, uint8_t* const* digests) {
  Stream streams[Streams];
  for (int i = 0; i < Streams; ++i) start(streams[i]);
  for (const Part* part = parts; part < parts + kParts; ++part) {
    for (size_t i = 0; i < part->count; ++i) {
      prefetch_next(*part, Streams, i * kBlockBytes);
      absorb<Streams>(streams, part->starts, i * kBlockBytes);
    }
  }
  for (int i = 0; i < Streams; ++i) store_digest(streams[i], digests[i]);
}

}  // namespace

std::vector<Kernel> sha256_armv8() {
  if ((getauxval(AT_HWCAP) & HWCAP_SHA2) == 0) return {};
  return {{4, 4, digest<4>}, {2, 2, digest<2>}, {1, 1, digest<1>}};
}

}  // namespace pinpoint

#else

namespace pinpoint {

std::vector<Kernel> sha256_armv8() {
  return {};
}

}  // namespace pinpoint

#endif
