// The floating-point control word that the specification needs, for the life of the object: round
// to nearest even, subnormals honoured, no traps. A library compiled with fast-math may have
// switched flush-to-zero on for this thread; it gets its own setting back afterwards.
//
// The compiler does not know that arithmetic depends on the control word. So whoever holds one of
// these computes nothing itself: it calls what computes through a pointer or a std::function, which
// the compiler cannot move across the constructor or the destructor.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace pinpoint {

class FloatMode {
 public:
#if defined(__x86_64__)
  FloatMode() : saved_(_mm_getcsr()) { _mm_setcsr(0x1f80); }
  ~FloatMode() { _mm_setcsr(saved_); }
#elif defined(__aarch64__)
  FloatMode() {
    asm volatile("mrs %0, fpcr" : "=r"(saved_));
    asm volatile("msr fpcr, %0" : : "r"(uint64_t{0}));
  }
  ~FloatMode() { asm volatile("msr fpcr, %0" : : "r"(saved_)); }
#else
#error "set the floating-point control word of this architecture here"
#endif
  FloatMode(const FloatMode&) = delete;
  FloatMode& operator=(const FloatMode&) = delete;

 private:
#if defined(__x86_64__)
  uint32_t saved_;
#else
  uint64_t saved_;
#endif
};

}  // namespace pinpoint
