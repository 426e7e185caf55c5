// Calls parallel_for with the control word in every state, with jobs that return and that throw.
// Prints one line for each mode of the caller and each number of threads:
//
//   MODE THREADS RESULT AFTER      RESULT: wrong words among the products; AFTER: kept or changed
//
// The products are subnormal and need rounding to nearest even.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "thread_pool.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

constexpr int64_t kCount = 1000;

#if defined(__x86_64__)
using Word = uint32_t;
constexpr Word kFlushing = 0x8040;  // FTZ and DAZ
constexpr Word kUpward = 0x4000;
constexpr Word kControl = 0xffc0;  // without the sticky flags
Word control_word() {
  return _mm_getcsr();
}
void set_control_word(Word word) {
  _mm_setcsr(word);
}
#else
using Word = uint64_t;
constexpr Word kFlushing = 1 << 24;  // FZ
constexpr Word kUpward = 1 << 22;
constexpr Word kControl = ~Word{0};
Word control_word() {
  Word word;
  asm volatile("mrs %0, fpcr" : "=r"(word));
  return word;
}
void set_control_word(Word word) {
  asm volatile("msr fpcr, %0" : : "r"(word));
}
#endif

float as_float(uint32_t word) {
  float value;
  std::memcpy(&value, &word, 4);
  return value;
}

// Noinline: no instruction of it may move to where the control word is another.
__attribute__((noinline)) float half(float value) {
  return value * 0.5f;
}

// Half of the subnormal of word 2i + 1 lies between two words: the even one is right.
int64_t wrong_words(const std::vector<float>& products) {
  int64_t wrong = 0;
  for (int64_t i = 0; i < kCount; ++i) {
    uint32_t word;
    std::memcpy(&word, &products[i], 4);
    const uint32_t below = static_cast<uint32_t>(i);
    wrong += word != below + (below & 1);
  }
  return wrong;
}

void check(const char* mode, Word bits, int threads, bool throws) {
  std::vector<float> products(kCount, 0.0f);
  const Word before = control_word();
  set_control_word(before | bits);
  const Word set = control_word();
  try {
    pinpoint::parallel_for(kCount, threads, [&](int64_t i) {
      products[i] = half(as_float(static_cast<uint32_t>(2 * i + 1)));
      if (throws && i == kCount - 1) throw std::runtime_error("as asked");
    });
  } catch (const std::runtime_error&) {
  }
  const bool kept = (control_word() & kControl) == (set & kControl);
  set_control_word(before);
  std::printf("%s%s %d %lld %s\n", mode, throws ? ",throwing" : "", threads,
              static_cast<long long>(wrong_words(products)), kept ? "kept" : "changed");
}

}  // namespace

int main() {
  for (int threads = 1; threads <= 3; ++threads) {
    for (bool throws : {false, true}) {
      check("plain", 0, threads, throws);
      check("flushing", kFlushing, threads, throws);
      check("upward", kUpward, threads, throws);
      check("both", kFlushing | kUpward, threads, throws);
    }
  }
  return 0;
}
