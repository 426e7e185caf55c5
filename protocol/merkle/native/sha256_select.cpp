// Which implementation hashes: the one that is asked for, or the fastest.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iterator>
#include <string>

#include "messages.h"
#include "sha256.h"

namespace pinpoint {
namespace {

constexpr const char* kNames[] = {"avx512", "shani", "avx2", "armv8", "portable"};

// `wide`, with `narrow` for groups of fewer than `least` messages.
std::vector<Kernel> with_rest(std::vector<Kernel> wide, size_t least,
                              const std::vector<Kernel>& narrow) {
  wide.back().least = least;
  if (least > 1) wide.insert(wide.end(), narrow.begin(), narrow.end());
  return wide;
}

std::vector<Sha256> detect() {
  const std::vector<Kernel> portable = sha256_portable();
  const std::vector<Kernel> shani = sha256_shani();
  std::vector<Sha256> found;
  // Costs of a pass over one block, Zen 5: 16 lanes 142 ns, whoever fills them; the SHA extensions
  // 17.5 ns a message (four at a time); portable 189 ns; 8 lanes 268 ns. Hence `least`.
  if (auto avx512 = sha256_avx512(); !avx512.empty()) {
    found.push_back({"avx512", with_rest(avx512, shani.empty() ? 1 : 9, shani)});
  }
  if (!shani.empty()) found.push_back({"shani", shani});
  if (auto avx2 = sha256_avx2(); !avx2.empty()) {
    found.push_back({"avx2", with_rest(avx2, 2, portable)});
  }
  if (auto armv8 = sha256_armv8(); !armv8.empty()) found.push_back({"armv8", armv8});
  found.push_back({"portable", portable});
  return found;
}

// Seconds for 16 chunks, the best of several tries: what interrupts only adds.
double seconds(const Sha256& sha) {
  using Clock = std::chrono::steady_clock;
  static const uint8_t chunks[16 * 1024] = {};
  uint8_t digests[16 * kDigestBytes];
  double best = 1;
  for (int i = 0; i < 8; ++i) {
    const auto start = Clock::now();
    hash_messages(sha, 0, chunks, 1024, 16, digests);
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

// The first two implementations, timed against each other once in a process (about 0.05 ms). On
// x86 those are 16 lanes and the SHA extensions, of which either may win: on Zen 5 16 lanes are 1.9
// times as fast, but other processors split 512-bit registers or slow down for them. Where one of
// the two is missing the order of the list decides alone: 8 lanes reach half the speed of the SHA
// extensions, and five times that of portable code.
const Sha256& fastest() {
  static const Sha256& chosen = []() -> const Sha256& {
    const std::vector<Sha256>& all = sha256_implementations();
    const bool contested = all.size() > 1 && std::string(all[1].name) == "shani";
    return contested && seconds(all[1]) < seconds(all[0]) ? all[1] : all[0];
  }();
  return chosen;
}

[[noreturn]] void refuse(const std::string& where, const std::string& name) {
  const bool known = std::any_of(std::begin(kNames), std::end(kNames),
                                 [&](const char* each) { return name == each; });
  std::string have;
  for (const Sha256& sha : sha256_implementations()) {
    have += (have.empty() ? "" : ", ") + std::string(sha.name);
  }
  const char* why =
      known ? "whose instructions this machine lacks" : "which is no implementation of SHA-256";
  throw ImplementationError(where + " is \"" + name + "\", " + why + "; this machine has " + have +
                            ": name one of these, or none for the fastest (see "
                            "docs/operate/settings.md#variables-for-the-machine)");
}

}  // namespace

const std::vector<Sha256>& sha256_implementations() {
  static const std::vector<Sha256> found = detect();
  return found;
}

const Sha256& sha256_select(const char* name) {
  const char* where = "sha256";
  if (name == nullptr) {
    where = "PINPOINT_SHA256";
    name = std::getenv(where);
    if (name == nullptr || *name == '\0') return fastest();
  }
  for (const Sha256& sha : sha256_implementations()) {
    if (std::string(sha.name) == name) return sha;
  }
  refuse(where, name);
}

}  // namespace pinpoint
