// SHA-256 of sixteen messages in the lanes of AVX-512 registers, which have rotations and
// three-operand logic. About 27 instructions for a round of sixteen messages.
#include "sha256.h"

#if defined(__x86_64__)

#include <immintrin.h>

#if !defined(__clang__)
// GCC 12 takes the deliberately undefined operands in its own header for mistakes (its bug 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#define PINPOINT_LANES __attribute__((target("avx512f,avx512bw"), always_inline)) inline

#include "sha256_lanes.inl"

namespace pinpoint {
namespace {

struct Avx512 {
  using V = __m512i;
  static constexpr int kLanes = 16;

  PINPOINT_LANES static V all(uint32_t x) { return _mm512_set1_epi32(static_cast<int>(x)); }
  PINPOINT_LANES static V add(V x, V y) { return _mm512_add_epi32(x, y); }
  PINPOINT_LANES static V fixed(V x) {
    __asm__("" : "+v"(x));
    return x;
  }
  // The last operand is the truth table of the three first, indexed by the bits x, y, z.
  PINPOINT_LANES static V xor3(V x, V y, V z) { return _mm512_ternarylogic_epi32(x, y, z, 0x96); }
  PINPOINT_LANES static V choice(V x, V y, V z) { return _mm512_ternarylogic_epi32(x, y, z, 0xca); }
  PINPOINT_LANES static V majority(V x, V y, V z) {
    return _mm512_ternarylogic_epi32(x, y, z, 0xe8);
  }
  template <int N>
  PINPOINT_LANES static V ror(V x) {
    return _mm512_ror_epi32(x, N);
  }
  template <int N>
  PINPOINT_LANES static V shr(V x) {
    return _mm512_srli_epi32(x, N);
  }

  PINPOINT_LANES static V swap_bytes(V x) {
    const __m128i order = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    return _mm512_shuffle_epi8(x, _mm512_broadcast_i32x4(order));
  }

  // Transposes a 16 x 16 matrix of words, one register a row.
  PINPOINT_LANES static void transpose(V* m) {
    V b[16];
    for (int i = 0; i < 16; i += 4) {
      const V low01 = _mm512_unpacklo_epi32(m[i], m[i + 1]);
      const V high01 = _mm512_unpackhi_epi32(m[i], m[i + 1]);
      const V low23 = _mm512_unpacklo_epi32(m[i + 2], m[i + 3]);
      const V high23 = _mm512_unpackhi_epi32(m[i + 2], m[i + 3]);
      b[i] = _mm512_unpacklo_epi64(low01, low23);
      b[i + 1] = _mm512_unpackhi_epi64(low01, low23);
      b[i + 2] = _mm512_unpacklo_epi64(high01, high23);
      b[i + 3] = _mm512_unpackhi_epi64(high01, high23);
    }
    // Quarter L of b[4g + j] now holds column 4L + j of the rows 4g .. 4g+3.
    for (int j = 0; j < 4; ++j) {
      const V even0 = _mm512_shuffle_i32x4(b[j], b[4 + j], 0x88);
      const V even1 = _mm512_shuffle_i32x4(b[8 + j], b[12 + j], 0x88);
      const V odd0 = _mm512_shuffle_i32x4(b[j], b[4 + j], 0xdd);
      const V odd1 = _mm512_shuffle_i32x4(b[8 + j], b[12 + j], 0xdd);
      m[j] = _mm512_shuffle_i32x4(even0, even1, 0x88);
      m[4 + j] = _mm512_shuffle_i32x4(odd0, odd1, 0x88);
      m[8 + j] = _mm512_shuffle_i32x4(even0, even1, 0xdd);
      m[12 + j] = _mm512_shuffle_i32x4(odd0, odd1, 0xdd);
    }
  }

  PINPOINT_LANES static void load_words(const uint8_t* const* starts, size_t offset, V* w) {
    for (int lane = 0; lane < kLanes; ++lane) {
      w[lane] = swap_bytes(_mm512_loadu_si512(starts[lane] + offset));
    }
    transpose(w);
  }

  PINPOINT_LANES static void store_digests(const V* state, uint8_t* const* digests) {
    V rows[16];
    for (int i = 0; i < 8; ++i) {
      rows[i] = swap_bytes(state[i]);
      rows[8 + i] = _mm512_setzero_si512();
    }
    transpose(rows);
    for (int lane = 0; lane < kLanes; ++lane) {
      const __m256i words = _mm512_castsi512_si256(rows[lane]);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(digests[lane]), words);
    }
  }
};

__attribute__((target("avx512f,avx512bw"))) void digest(const Part* parts,
                                                        uint8_t* const* digests) {
  Lanes<Avx512>::digest(parts, digests);
}

}  // namespace

std::vector<Kernel> sha256_avx512() {
  // __builtin_cpu_supports also asks whether the system saves the registers.
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw")) return {};
  return {{Avx512::kLanes, 1, digest}};
}

}  // namespace pinpoint

#else

namespace pinpoint {

std::vector<Kernel> sha256_avx512() {
  return {};
}

}  // namespace pinpoint

#endif
