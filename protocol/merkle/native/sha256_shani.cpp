// SHA-256 with the x86 SHA extensions, on one message or on several interleaved: an instruction's
// result takes longer than the next start, so one message alone leaves the unit idle half the time.
//
// Source: the instruction set reference (SHA256RNDS2, SHA256MSG1, SHA256MSG2). The state lives in
// two registers as the instructions want it, (A,B,E,F) and (C,D,G,H); one step below is four
// rounds.
#include "sha256.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

#define PINPOINT_SHANI __attribute__((target("sha,sse4.1"), always_inline)) inline

namespace pinpoint {
namespace {

struct Stream {
  __m128i abef, cdgh;
  __m128i w[4];  // the last sixteen schedule words
};

PINPOINT_SHANI __m128i swap_bytes(__m128i words) {
  return _mm_shuffle_epi8(words, _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL));
}

PINPOINT_SHANI void start(Stream& s) {
  const __m128i dcba = _mm_loadu_si128(reinterpret_cast<const __m128i*>(kSha256Initial));
  const __m128i hgfe = _mm_loadu_si128(reinterpret_cast<const __m128i*>(kSha256Initial + 4));
  const __m128i cdab = _mm_shuffle_epi32(dcba, 0xB1);
  const __m128i efgh = _mm_shuffle_epi32(hgfe, 0x1B);
  s.abef = _mm_alignr_epi8(cdab, efgh, 8);
  s.cdgh = _mm_blend_epi16(efgh, cdab, 0xF0);
}

PINPOINT_SHANI void store_digest(const Stream& s, uint8_t* digest) {
  const __m128i feba = _mm_shuffle_epi32(s.abef, 0x1B);
  const __m128i dchg = _mm_shuffle_epi32(s.cdgh, 0xB1);
  const __m128i dcba = _mm_blend_epi16(feba, dchg, 0xF0);
  const __m128i hgfe = _mm_alignr_epi8(dchg, feba, 8);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(digest), swap_bytes(dcba));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(digest + 16), swap_bytes(hgfe));
}

// Rounds 4*Step .. 4*Step+3, and the schedule words that they complete.
template <int Step>
PINPOINT_SHANI void step(Stream& s, const uint8_t* block) {
  if constexpr (Step < 4) {
    s.w[Step] = swap_bytes(_mm_loadu_si128(reinterpret_cast<const __m128i*>(block + 16 * Step)));
  }
  const __m128i now = s.w[Step % 4];
  const auto* constants = reinterpret_cast<const __m128i*>(kSha256Round + 4 * Step);
  __m128i sum = _mm_add_epi32(now, _mm_loadu_si128(constants));
  s.cdgh = _mm_sha256rnds2_epu32(s.cdgh, s.abef, sum);
  if constexpr (Step >= 3 && Step < 15) {
    __m128i& next = s.w[(Step + 1) % 4];
    next = _mm_add_epi32(next, _mm_alignr_epi8(now, s.w[(Step + 3) % 4], 4));
    next = _mm_sha256msg2_epu32(next, now);
  }
  sum = _mm_shuffle_epi32(sum, 0x0E);
  s.abef = _mm_sha256rnds2_epu32(s.abef, s.cdgh, sum);
  if constexpr (Step >= 1 && Step < 13) {
    __m128i& previous = s.w[(Step + 3) % 4];
    previous = _mm_sha256msg1_epu32(previous, now);
  }
}

template <int Step, int Streams>
PINPOINT_SHANI void steps(Stream* streams, const uint8_t* const* blocks) {
  for (int i = 0; i < Streams; ++i) step<Step>(streams[i], blocks[i]);
  if constexpr (Step < 15) steps<Step + 1, Streams>(streams, blocks);
}

template <int Streams>
PINPOINT_SHANI void absorb(Stream* streams, const uint8_t* const* starts, size_t offset) {
  const uint8_t* blocks[Streams];
  __m128i abef[Streams], cdgh[Streams];
  for (int i = 0; i < Streams; ++i) {
    blocks[i] = starts[i] + offset;
    abef[i] = streams[i].abef;
    cdgh[i] = streams[i].cdgh;
  }
  steps<0, Streams>(streams, blocks);
  for (int i = 0; i < Streams; ++i) {
    streams[i].abef = _mm_add_epi32(streams[i].abef, abef[i]);
    streams[i].cdgh = _mm_add_epi32(streams[i].cdgh, cdgh[i]);
  }
}

template <int Streams>
__attribute__((target("sha,sse4.1"))) void digest(const Part* parts, uint8_t* const* digests) {
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

bool has_shani() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__builtin_cpu_supports("sse4.1") || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  return (b >> 29 & 1) != 0;
}

}  // namespace

std::vector<Kernel> sha256_shani() {
  if (!has_shani()) return {};
  return {{4, 4, digest<4>}, {2, 2, digest<2>}, {1, 1, digest<1>}};
}

}  // namespace pinpoint

#else

namespace pinpoint {

std::vector<Kernel> sha256_shani() {
  return {};
}

}  // namespace pinpoint

#endif
