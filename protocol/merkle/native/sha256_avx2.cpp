// SHA-256 of eight messages in the lanes of AVX2 registers.
#include "sha256.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define PINPOINT_LANES __attribute__((target("avx2"), always_inline)) inline

#include "sha256_lanes.inl"

namespace pinpoint {
namespace {

struct Avx2 {
  using V = __m256i;
  static constexpr int kLanes = 8;

  PINPOINT_LANES static V all(uint32_t x) { return _mm256_set1_epi32(static_cast<int>(x)); }
  PINPOINT_LANES static V add(V x, V y) { return _mm256_add_epi32(x, y); }
  PINPOINT_LANES static V fixed(V x) {
    __asm__("" : "+v"(x));
    return x;
  }
  PINPOINT_LANES static V xor3(V x, V y, V z) {
    return _mm256_xor_si256(_mm256_xor_si256(x, y), z);
  }
  PINPOINT_LANES static V choice(V x, V y, V z) {
    return _mm256_xor_si256(z, _mm256_and_si256(x, _mm256_xor_si256(y, z)));
  }
  PINPOINT_LANES static V majority(V x, V y, V z) {
    return _mm256_xor_si256(y, _mm256_and_si256(_mm256_xor_si256(x, y), _mm256_xor_si256(y, z)));
  }
  template <int N>
  PINPOINT_LANES static V ror(V x) {
    return _mm256_or_si256(_mm256_srli_epi32(x, N), _mm256_slli_epi32(x, 32 - N));
  }
  template <int N>
  PINPOINT_LANES static V shr(V x) {
    return _mm256_srli_epi32(x, N);
  }

  PINPOINT_LANES static V swap_bytes(V x) {
    const __m128i order = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    return _mm256_shuffle_epi8(x, _mm256_broadcastsi128_si256(order));
  }

  // Transposes an 8 x 8 matrix of words, one register a row.
  PINPOINT_LANES static void transpose(V* m) {
    V b[8];
    for (int i = 0; i < 8; i += 4) {
      const V low01 = _mm256_unpacklo_epi32(m[i], m[i + 1]);
      const V high01 = _mm256_unpackhi_epi32(m[i], m[i + 1]);
      const V low23 = _mm256_unpacklo_epi32(m[i + 2], m[i + 3]);
      const V high23 = _mm256_unpackhi_epi32(m[i + 2], m[i + 3]);
      b[i] = _mm256_unpacklo_epi64(low01, low23);
      b[i + 1] = _mm256_unpackhi_epi64(low01, low23);
      b[i + 2] = _mm256_unpacklo_epi64(high01, high23);
      b[i + 3] = _mm256_unpackhi_epi64(high01, high23);
    }
    // Half L of b[4g + j] now holds column 4L + j of the rows 4g .. 4g+3.
    for (int j = 0; j < 4; ++j) {
      m[j] = _mm256_permute2x128_si256(b[j], b[4 + j], 0x20);
      m[4 + j] = _mm256_permute2x128_si256(b[j], b[4 + j], 0x31);
    }
  }

  PINPOINT_LANES static void load_words(const uint8_t* const* starts, size_t offset, V* w) {
    for (int lane = 0; lane < kLanes; ++lane) {
      const auto* halves = reinterpret_cast<const __m256i*>(starts[lane] + offset);
      w[lane] = swap_bytes(_mm256_loadu_si256(halves));
      w[8 + lane] = swap_bytes(_mm256_loadu_si256(halves + 1));
    }
    transpose(w);
    transpose(w + 8);
  }

  PINPOINT_LANES static void store_digests(const V* state, uint8_t* const* digests) {
    V rows[8];
    for (int i = 0; i < 8; ++i) rows[i] = swap_bytes(state[i]);
    transpose(rows);
    for (int lane = 0; lane < kLanes; ++lane) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(digests[lane]), rows[lane]);
    }
  }
};

__attribute__((target("avx2"))) void digest(const Part* parts, uint8_t* const* digests) {
  Lanes<Avx2>::digest(parts, digests);
}

}  // namespace

std::vector<Kernel> sha256_avx2() {
  if (!__builtin_cpu_supports("avx2")) return {};
  return {{Avx2::kLanes, 1, digest}};
}

}  // namespace pinpoint

#else

namespace pinpoint {

std::vector<Kernel> sha256_avx2() {
  return {};
}

}  // namespace pinpoint

#endif
