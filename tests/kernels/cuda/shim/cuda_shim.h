// Runs .cu source on the CPU, with g++ -x c++ -include cuda_shim.h and the flags of host.py.
//
// A block's threads are fibers on one system thread: __syncthreads() is a switch to the next fiber,
// and every fiber reaches a barrier before any goes on. Blocks run one after the other. With
// `reversed` set, fibers run from the last to the first: a kernel without a barrier that it needs
// then computes something else. A barrier that only some threads of a block reach is reported.
#pragma once

#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(threads)
#define __shared__ static
#define __constant__ static const
#define __align__(bytes) __attribute__((aligned(bytes)))

struct Dim3 {
  unsigned x = 1, y = 1, z = 1;
};
struct float4 {
  float x, y, z, w;
};

inline Dim3 threadIdx, blockIdx, blockDim, gridDim;

// clang-format off: a table of one-liners
// The rounding intrinsics: one correctly rounded operation each. No contraction: see the flags.
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float a) { return std::sqrt(a); }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline float __int2float_rn(int a) { return static_cast<float>(a); }
inline int __float2int_rz(float a) { return static_cast<int>(a); }
// clang-format on
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(static_cast<uint64_t>(a) * b >> 32);
}
inline float __uint_as_float(unsigned a) {
  float f;
  std::memcpy(&f, &a, sizeof f);
  return f;
}
inline unsigned __float_as_uint(float a) {
  unsigned u;
  std::memcpy(&u, &a, sizeof u);
  return u;
}
// Bytes of (b, a), picked by the four low nibbles of the selector.
inline unsigned __byte_perm(unsigned a, unsigned b, unsigned selector) {
  const uint64_t bytes = static_cast<uint64_t>(b) << 32 | a;
  unsigned result = 0;
  for (int i = 0; i < 4; ++i) {
    const unsigned byte = selector >> 4 * i & 7u;
    result |= static_cast<unsigned>(bytes >> 8 * byte & 0xffu) << 8 * i;
  }
  return result;
}
// The low word of (high:low) shifted right.
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
  return static_cast<unsigned>((static_cast<uint64_t>(high) << 32 | low) >> (shift & 31u));
}

namespace shim {

constexpr std::size_t kStack = 64 << 10;

struct Fiber {
  ucontext_t context;
  std::unique_ptr<char[]> stack{new char[kStack]};
  bool done = false;
};

inline ucontext_t scheduler;
inline Fiber* current = nullptr;
inline void (*entry)(void*) = nullptr;
inline void* entry_argument = nullptr;
inline std::vector<Fiber> fibers;

inline void run_fiber() {
  entry(entry_argument);
  current->done = true;
  swapcontext(&current->context, &scheduler);
}

// Runs one block; false if a barrier was reached by some of its threads only.
inline bool run_block(unsigned threads, bool reversed) {
  while (fibers.size() < threads) fibers.emplace_back();
  for (unsigned t = 0; t < threads; ++t) {
    Fiber& fiber = fibers[t];
    fiber.done = false;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = kStack;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, run_fiber, 0);
  }
  for (;;) {
    unsigned done = 0;
    for (unsigned i = 0; i < threads; ++i) {
      unsigned t = reversed ? threads - 1 - i : i;
      current = &fibers[t];
      threadIdx.x = t;
      swapcontext(&scheduler, &current->context);
      done += current->done ? 1u : 0u;
    }
    if (done == threads) return true;
    if (done != 0) return false;
  }
}

inline bool run_grid(unsigned blocks, unsigned threads, bool reversed) {
  blockDim.x = threads;
  gridDim.x = blocks;
  for (unsigned b = 0; b < blocks; ++b) {
    blockIdx.x = b;
    if (!run_block(threads, reversed)) return false;
  }
  return true;
}

template <typename A>
A argument(uint64_t slot) {
  if constexpr (std::is_pointer_v<A>) {
    return reinterpret_cast<A>(slot);
  } else {
    return static_cast<A>(slot);
  }
}

template <typename... A, std::size_t... I>
void call(void (*kernel)(A...), const uint64_t* slots, std::index_sequence<I...>) {
  kernel(argument<A>(slots[I])...);
}

template <typename... A>
bool launch(void (*kernel)(A...), unsigned blocks, unsigned threads, const uint64_t* slots,
            bool reversed) {
  auto once = [&] { call(kernel, slots, std::index_sequence_for<A...>{}); };
  entry = [](void* f) { (*static_cast<decltype(once)*>(f))(); };
  entry_argument = &once;
  return run_grid(blocks, threads, reversed);
}

}  // namespace shim

inline void __syncthreads() {
  Dim3 own = threadIdx;
  swapcontext(&shim::current->context, &shim::scheduler);
  threadIdx = own;
}
