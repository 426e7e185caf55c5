// The loops of BlockOps. Included once per instruction set, inside `namespace PINPOINT_ISA`, after
// a target pragma, so that no code of one instruction set can be linked into another: only this
// file's own static functions and those of fused.inl, and no header but <cstdint>, may be compiled
// here.
//
// Order of additions: lanes are independent; one lane's accumulator sees its terms in order.
//
// F registers are canonical by specification. Here a NaN may carry any sign and payload while it is
// in flight: every operation on a NaN gives a NaN or a result that does not depend on which NaN it
// is (comparisons, f2i), except f2b, which canonicalises, and the final store, which does too.

static inline float as_float(uint32_t word) {
  float value;
  __builtin_memcpy(&value, &word, 4);
  return value;
}
static inline uint32_t as_word(float value) {
  uint32_t word;
  __builtin_memcpy(&word, &value, 4);
  return word;
}
static inline int32_t as_int(uint32_t word) {
  return static_cast<int32_t>(word);
}

#include "fused.inl"

// Per-lane meaning of each opcode, on words.
#define F(x) as_float(x)
#define I(x) as_int(x)
#define LANE(name, expression)                                             \
  static inline uint32_t lane_##name(uint32_t a, uint32_t b, uint32_t c) { \
    (void)a, (void)b, (void)c;                                             \
    return expression;                                                     \
  }
LANE(add, as_word(F(a) + F(b)))
LANE(sub, as_word(F(a) - F(b)))
LANE(mul, as_word(F(a) * F(b)))
LANE(div, as_word(F(a) / F(b)))
LANE(sqrt, as_word(__builtin_sqrtf(F(a))))
LANE(fma, as_word(fused(F(a), F(b), F(c))))
// Equal operands: or (and) of the words makes -0 the smaller; an unequal pair with a NaN gives it.
LANE(min, F(a) == F(b) ? (a | b) : (F(a) < F(b) ? a : (F(a) != F(a) ? a : b)))
LANE(max, F(a) == F(b) ? (a & b) : (F(a) > F(b) ? a : (F(a) != F(a) ? a : b)))
LANE(neg, a ^ 0x80000000u)
LANE(abs, a & 0x7fffffffu)
LANE(flt, F(a) < F(b) ? 1u : 0u)
LANE(fle, F(a) <= F(b) ? 1u : 0u)
LANE(feq, F(a) == F(b) ? 1u : 0u)
LANE(fsel, a != 0 ? b : c)
LANE(b2f, a)
LANE(i2f, as_word(static_cast<float>(I(a))))
LANE(iadd, a + b)
LANE(isub, a - b)
LANE(imul, a* b)
LANE(imulhi, static_cast<uint32_t>((static_cast<uint64_t>(a) * b) >> 32))
LANE(idiv, b == 0 ? 0u : b == 0xffffffffu ? 0u - a : static_cast<uint32_t>(I(a) / I(b)))
LANE(irem, b == 0 || b == 0xffffffffu ? 0u : static_cast<uint32_t>(I(a) % I(b)))
LANE(iand, a& b)
LANE(ior, a | b)
LANE(ixor, a ^ b)
LANE(ishl, a << (b & 31))
LANE(ishr, a >> (b & 31))
LANE(isar, static_cast<uint32_t>(I(a) >> (b & 31)))
LANE(ilt, I(a) < I(b) ? 1u : 0u)
LANE(iult, a < b ? 1u : 0u)
LANE(ieq, a == b ? 1u : 0u)
LANE(imin, I(a) < I(b) ? a : b)
LANE(imax, I(a) > I(b) ? a : b)
LANE(isel, a != 0 ? b : c)
LANE(f2b, F(a) != F(a) ? 0x7fc00000u : a)
#undef LANE

static inline uint32_t lane_f2i(uint32_t a, uint32_t, uint32_t) {
  float x = as_float(a);
  bool inside = x > -2147483648.0f && x < 2147483648.0f;
  uint32_t converted = static_cast<uint32_t>(static_cast<int32_t>(inside ? x : 0.0f));
  uint32_t outside = x >= 2147483648.0f ? 0x7fffffffu : x <= -2147483648.0f ? 0x80000000u : 0u;
  return inside ? converted : outside;
}
#undef F
#undef I

static inline int padded(int n) {
  return (n + kLanes - 1) & ~(kLanes - 1);
}

// Destination and source buffers are the same or disjoint, so no lane depends on another.
#define FOR_LANES(n) PINPOINT_IVDEP for (int t = 0; t < (n); ++t)

static void run(const Step* steps, int count, uint32_t* const* buffers, int n) {
  n = padded(n);
  for (const Step* step = steps; step != steps + count; ++step) {
    uint32_t* d = buffers[step->destination];
    const uint32_t* a = buffers[step->args[0]];
    const uint32_t* b = buffers[step->args[1]];
    const uint32_t* c = buffers[step->args[2]];
    switch (step->op) {
#define X(byte, name, arguments, result)    \
  case byte:                                \
    FOR_LANES(n) {                          \
      d[t] = lane_##name(a[t], b[t], c[t]); \
    }                                       \
    break;
      PINPOINT_OPCODES(X)
#undef X
    }
  }
}

static inline uint32_t lane(uint8_t op, uint32_t a, uint32_t b, uint32_t c) {
  switch (op) {
#define X(byte, name, arguments, result) \
  case byte:                             \
    return lane_##name(a, b, c);
    PINPOINT_OPCODES(X)
#undef X
  }
  return 0;
}

static void chain(const Step* steps, int count, int result, bool dependent,
                  uint32_t* const* buffers, int n, const uint32_t* live, uint32_t* accumulator,
                  uint32_t* record, int64_t record_stride) {
  // Values that depend on acc live in lane 0 of their own buffers; buffer 0 is acc itself.
  uint32_t acc = *accumulator;
  if (count == 1 && live == nullptr && record == nullptr && steps[0].op == 0x01 &&
      steps[0].uses_accumulator != 3) {
    const uint32_t* other = buffers[steps[0].args[steps[0].uses_accumulator == 1 ? 1 : 0]];
    float sum = as_float(acc);
    for (int t = 0; t < n; ++t) sum += as_float(other[t]);
    *accumulator = as_word(sum);
    return;
  }
  for (int t = 0; t < n; ++t) {
    if (live == nullptr || live[t] != 0) {
      buffers[0][0] = acc;
      for (const Step* step = steps; step != steps + count; ++step) {
        uint32_t args[3];
        for (int i = 0; i < 3; ++i) {
          args[i] = buffers[step->args[i]][(step->uses_accumulator >> i & 1) != 0 ? 0 : t];
        }
        buffers[step->destination][0] = lane(step->op, args[0], args[1], args[2]);
      }
      acc = buffers[result][dependent ? 0 : t];
    }
    if (record != nullptr) record[t * record_stride] = acc;
  }
  *accumulator = acc;
}

static void blend(uint32_t* destination, const uint32_t* value, const uint32_t* live, int n) {
  n = padded(n);
  FOR_LANES(n) {
    destination[t] = live[t] != 0 ? value[t] : destination[t];
  }
}

static void gather(uint32_t* destination, const uint32_t* source, const int32_t* offsets, int n) {
  FOR_LANES(n) {
    destination[t] = source[offsets[t]];
  }
}

static void gather_u8(uint32_t* destination, const uint8_t* source, const int32_t* offsets, int n) {
  FOR_LANES(n) {
    destination[t] = source[offsets[t]];
  }
}

static void gather_strided(uint32_t* destination, const uint32_t* source, int64_t stride, int n) {
  FOR_LANES(n) {
    destination[t] = source[t * stride];
  }
}

static void count(uint32_t* destination, int64_t start, int64_t period, int64_t dim, int n) {
  // Half a unit above an integer, a quotient stays 1/2 period away from the next one, which is more
  // than the error of the reciprocal: the conversion truncates to the right number.
  const double by_period = 1.0 / static_cast<double>(period);
  const double by_dim = 1.0 / static_cast<double>(dim);
  const int32_t first = static_cast<int32_t>(start);
  const int32_t size = static_cast<int32_t>(dim);
  FOR_LANES(n) {
    double position = static_cast<double>(first + t) + 0.5;
    int32_t row = static_cast<int32_t>(position * by_period);
    int32_t turn = static_cast<int32_t>((static_cast<double>(row) + 0.5) * by_dim);
    destination[t] = static_cast<uint32_t>(row - turn * size);
  }
}

static void add_word(bool narrow, void* value, const uint32_t* word, int64_t coef, int n) {
  if (narrow) {
    uint32_t* sum = static_cast<uint32_t*>(value);
    uint32_t factor = static_cast<uint32_t>(coef);
    FOR_LANES(n) {
      sum[t] += factor * word[t];
    }
  } else {
    int64_t* sum = static_cast<int64_t*>(value);
    FOR_LANES(n) {
      sum[t] += coef * static_cast<int64_t>(as_int(word[t]));
    }
  }
}

static void shift(bool narrow, void* result, const void* value, int64_t scalar, int n) {
  if (narrow) {
    uint32_t* sum = static_cast<uint32_t*>(result);
    const uint32_t* from = static_cast<const uint32_t*>(value);
    uint32_t distance = static_cast<uint32_t>(scalar);
    FOR_LANES(n) {
      sum[t] = from[t] + distance;
    }
  } else {
    int64_t* sum = static_cast<int64_t*>(result);
    const int64_t* from = static_cast<const int64_t*>(value);
    FOR_LANES(n) {
      sum[t] = from[t] + scalar;
    }
  }
}

static void check_wide(const int64_t* value, uint32_t divisor, uint32_t size, uint64_t stride,
                       uint32_t* address, uint32_t* live, int n) {
  for (int t = 0; t < n; ++t) {
    uint64_t v = static_cast<uint64_t>(value[t]);
    uint64_t quotient = v / divisor;
    live[t] &= value[t] >= 0 && quotient * divisor == v && quotient < size ? 1u : 0u;
    address[t] += static_cast<uint32_t>(stride * quotient);
  }
}

static void check_axis(bool narrow, const void* value, uint32_t divisor, uint32_t size,
                       uint64_t stride, uint32_t* address, uint32_t* live, int n) {
  if (!narrow) {
    check_wide(static_cast<const int64_t*>(value), divisor, size, stride, address, live, n);
    return;
  }
  const uint32_t* v = static_cast<const uint32_t*>(value);
  const uint32_t step = static_cast<uint32_t>(stride);
  // A negative coordinate is above every size up to 2^31 as an unsigned number.
  const uint32_t limit = size < 0x80000000u ? size : 0x80000000u;
  if (divisor == 1) {
    FOR_LANES(n) {
      live[t] &= v[t] < limit ? 1u : 0u;
      address[t] += step * v[t];
    }
    return;
  }
  // If the divisor divides v, v times its reciprocal is within 2^-20 of the quotient; if not, no
  // integer times the divisor gives v.
  const double reciprocal = 1.0 / divisor;
  FOR_LANES(n) {
    int32_t signed_value = as_int(v[t]);
    double quotient = static_cast<double>(signed_value) * reciprocal + 0.5;
    uint32_t c = static_cast<uint32_t>(static_cast<int32_t>(quotient));
    live[t] &= signed_value >= 0 && c * divisor == v[t] && c < limit ? 1u : 0u;
    address[t] += step * c;
  }
}

static void pick(uint32_t* destination, const uint32_t* source, const uint32_t* address,
                 const uint32_t* live, uint32_t fill, int n) {
  // A lane out of bounds reads element 0, which every operand has, and throws it away. Addresses
  // are below 2^31, which is what the i32 tells the compiler's gather.
  FOR_LANES(n) {
    uint32_t word = source[live[t] != 0 ? as_int(address[t]) : 0];
    destination[t] = live[t] != 0 ? word : fill;
  }
}

static void pick_u8(uint32_t* destination, const uint8_t* source, const uint32_t* address,
                    const uint32_t* live, uint32_t fill, int n) {
  FOR_LANES(n) {
    uint32_t word = source[live[t] != 0 ? as_int(address[t]) : 0];
    destination[t] = live[t] != 0 ? word : fill;
  }
}

static void canonicalise(uint32_t* destination, const uint32_t* source, int64_t n) {
  PINPOINT_IVDEP for (int64_t t = 0; t < n; ++t) {
    destination[t] = (source[t] & 0x7fffffffu) > 0x7f800000u ? 0x7fc00000u : source[t];
  }
}

static void narrow_u8(uint8_t* destination, const uint32_t* source, int64_t n) {
  for (int64_t t = 0; t < n; ++t) destination[t] = static_cast<uint8_t>(source[t]);
}
