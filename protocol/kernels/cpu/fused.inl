// a*b + c rounded once. Included once per instruction set, inside its namespace, like
// block_ops.inl: no header but <cstdint>.

#ifndef PINPOINT_HAS_FMA
#if defined(__aarch64__) || defined(__FMA__)
#define PINPOINT_HAS_FMA 1
#else
#define PINPOINT_HAS_FMA 0
#endif
#endif

static inline float fused(float a, float b, float c) {
#if PINPOINT_HAS_FMA
  return __builtin_fmaf(a, b, c);
#else
  // a*b is exact in binary64 (24+24 bits, and no exponent is too small). The sum is rounded to odd,
  // which keeps the second rounding, to binary32, correct: binary64 has at least two bits more than
  // any binary32, normal or not (Boldo and Melquiond, "Emulation of FMA", 2008). Neither a sum nor
  // an error is ever subnormal in binary64: all are multiples of 2^-298.
  double product = static_cast<double>(a) * static_cast<double>(b);
  double addend = static_cast<double>(c);
  double sum = product + addend;
  double tail = sum - product;
  double error = (product - (sum - tail)) + (addend - tail);  // exact (Knuth's TwoSum)
  uint64_t bits;
  uint64_t error_bits;
  __builtin_memcpy(&bits, &sum, 8);
  __builtin_memcpy(&error_bits, &error, 8);
  // Without a branch, and with what SSE2 has for 64 bits, so that the loop around is vectorised.
  // An even sum moves to its odd neighbour on the side of the error: away from zero, if sum and
  // error have one sign. It stands if it is exact (an error of 0) or not finite (an error of NaN).
  uint64_t step = 1 - ((bits ^ error_bits) >> 63 << 1);
  uint64_t even = (bits & 1) - 1;
  uint64_t magnitude = error_bits & 0x7fffffffffffffffu;
  uint64_t not_zero = 0 - magnitude;                   // in the highest bit
  uint64_t not_nan = magnitude - 0x7ff0000000000000u;  // in the highest bit
  bits += step & even & (0 - ((not_zero & not_nan) >> 63));
  __builtin_memcpy(&sum, &bits, 8);
  return static_cast<float>(sum);
#endif
}
