// SHA-256 of several messages in the lanes of vector registers: each lane runs the function of
// FIPS 180-4, section 6.2.2, on its own message. Included by one file for each instruction set,
// which defines PINPOINT_LANES (the target attributes) and a set of vector operations `Ops`.
//
// Register t of a block holds word t of every message, so blocks are transposed on loading.

namespace pinpoint {
namespace {

template <class Ops>
struct Lanes {
  using V = typename Ops::V;

  PINPOINT_LANES static V big_sigma0(V x) {
    return Ops::xor3(Ops::template ror<2>(x), Ops::template ror<13>(x), Ops::template ror<22>(x));
  }
  PINPOINT_LANES static V big_sigma1(V x) {
    return Ops::xor3(Ops::template ror<6>(x), Ops::template ror<11>(x), Ops::template ror<25>(x));
  }
  PINPOINT_LANES static V small_sigma0(V x) {
    return Ops::xor3(Ops::template ror<7>(x), Ops::template ror<18>(x), Ops::template shr<3>(x));
  }
  PINPOINT_LANES static V small_sigma1(V x) {
    return Ops::xor3(Ops::template ror<17>(x), Ops::template ror<19>(x), Ops::template shr<10>(x));
  }

  // Round 16*Group + T. Instead of moving the variables, the roles move: `a` of round t is element
  // -t mod 8. Only two variables change.
  template <int Group, int T>
  PINPOINT_LANES static void rounds(V* v, V* w) {
    V& d = v[(11 - T % 8) % 8];
    V& h = v[(15 - T % 8) % 8];
    const V a = v[(8 - T % 8) % 8], b = v[(9 - T % 8) % 8], c = v[(10 - T % 8) % 8];
    const V e = v[(12 - T % 8) % 8], f = v[(13 - T % 8) % 8], g = v[(14 - T % 8) % 8];
    if constexpr (Group > 0) {
      const V added = Ops::add(small_sigma0(w[(T + 1) % 16]), w[(T + 9) % 16]);
      w[T] = Ops::add(Ops::add(w[T], added), small_sigma1(w[(T + 14) % 16]));
    }
    // The next round waits for d, that is for e after three operations. `fixed` keeps the compiler
    // from adding in an order that makes it wait for six.
    const V known = Ops::fixed(Ops::add(h, Ops::add(w[T], Ops::all(kSha256Round[16 * Group + T]))));
    const V early = Ops::fixed(Ops::add(d, known));
    const V chosen = Ops::choice(e, f, g), sigma1 = big_sigma1(e);
    d = Ops::add(Ops::fixed(Ops::add(early, chosen)), sigma1);
    const V t1 = Ops::add(Ops::fixed(Ops::add(known, chosen)), sigma1);
    h = Ops::add(t1, Ops::fixed(Ops::add(big_sigma0(a), Ops::majority(a, b, c))));
    if constexpr (T < 15) rounds<Group, T + 1>(v, w);
  }

  PINPOINT_LANES static void absorb(V* state, const uint8_t* const* starts, size_t offset) {
    V w[16], v[8];
    Ops::load_words(starts, offset, w);
    for (int i = 0; i < 8; ++i) v[i] = state[i];
    rounds<0, 0>(v, w);
    rounds<1, 0>(v, w);
    rounds<2, 0>(v, w);
    rounds<3, 0>(v, w);
    for (int i = 0; i < 8; ++i) state[i] = Ops::add(state[i], v[i]);
  }

  PINPOINT_LANES static void digest(const Part* parts, uint8_t* const* digests) {
    V state[8];
    for (int i = 0; i < 8; ++i) state[i] = Ops::all(kSha256Initial[i]);
    for (const Part* part = parts; part < parts + kParts; ++part) {
      for (size_t i = 0; i < part->count; ++i) {
        prefetch_next(*part, Ops::kLanes, i * kBlockBytes);
        absorb(state, part->starts, i * kBlockBytes);
      }
    }
    Ops::store_digests(state, digests);
  }
};

}  // namespace
}  // namespace pinpoint
