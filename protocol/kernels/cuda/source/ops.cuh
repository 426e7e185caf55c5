// The scalar instructions of docs/PROTOCOL.md, section 1, one function each.
//
// No order of additions is chosen here: a function rounds once. Every sum and product is an
// intrinsic that the compiler may neither fuse nor flush. A NaN keeps whatever payload the device
// gives it until somebody can see the bits: `op_f2b` and the stores make it canonical.
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;
typedef unsigned char u8;

#define PINPOINT_OP __device__ __forceinline__
#define PINPOINT_NAN 0x7fc00000u

// clang-format off: a table of one-liners

PINPOINT_OP bool is_nan(float a) { return !(a == a); }
PINPOINT_OP float op_b2f(u32 a) { return __uint_as_float(a); }
PINPOINT_OP u32 op_f2b(float a) { return is_nan(a) ? PINPOINT_NAN : __float_as_uint(a); }

PINPOINT_OP float op_add(float a, float b) { return __fadd_rn(a, b); }
PINPOINT_OP float op_sub(float a, float b) { return __fsub_rn(a, b); }
PINPOINT_OP float op_mul(float a, float b) { return __fmul_rn(a, b); }
PINPOINT_OP float op_div(float a, float b) { return __fdiv_rn(a, b); }
PINPOINT_OP float op_sqrt(float a) { return __fsqrt_rn(a); }

// On the device as inline PTX: `// begin inline asm` then marks in the PTX every fused operation that
// the program asked for, however often the loop around it is unrolled. Any other is a contraction.
PINPOINT_OP float op_fma(float a, float b, float c) {
#ifdef __CUDA_ARCH__
  float d;
  asm("fma.rn.f32 %0, %1, %2, %3;" : "=f"(d) : "f"(a), "f"(b), "f"(c));
  return d;
#else
  return __fmaf_rn(a, b, c);
#endif
}

// CUDA's fminf and fmaxf return the other operand for a NaN: these do not.
PINPOINT_OP float op_min(float a, float b) {
  if (a < b) return a;
  if (b < a) return b;
  if (!(a == b)) return op_b2f(PINPOINT_NAN);
  return op_b2f(__float_as_uint(a) | __float_as_uint(b));  // equal: -0 if either is
}
PINPOINT_OP float op_max(float a, float b) {
  if (a > b) return a;
  if (b > a) return b;
  if (!(a == b)) return op_b2f(PINPOINT_NAN);
  return op_b2f(__float_as_uint(a) & __float_as_uint(b));  // equal: +0 if either is
}
PINPOINT_OP float op_neg(float a) { return op_b2f(__float_as_uint(a) ^ 0x80000000u); }
PINPOINT_OP float op_abs(float a) { return op_b2f(__float_as_uint(a) & 0x7fffffffu); }

PINPOINT_OP u32 op_flt(float a, float b) { return a < b ? 1u : 0u; }
PINPOINT_OP u32 op_fle(float a, float b) { return a <= b ? 1u : 0u; }
PINPOINT_OP u32 op_feq(float a, float b) { return a == b ? 1u : 0u; }
PINPOINT_OP float op_fsel(u32 a, float b, float c) { return a != 0u ? b : c; }
PINPOINT_OP float op_i2f(u32 a) { return __int2float_rn((int)a); }
PINPOINT_OP u32 op_f2i(float a) {
  if (is_nan(a)) return 0u;
  if (a >= 2147483648.0f) return 0x7fffffffu;
  if (a < -2147483648.0f) return 0x80000000u;
  return (u32)__float2int_rz(a);
}

PINPOINT_OP u32 op_iadd(u32 a, u32 b) { return a + b; }
PINPOINT_OP u32 op_isub(u32 a, u32 b) { return a - b; }
PINPOINT_OP u32 op_imul(u32 a, u32 b) { return a * b; }
PINPOINT_OP u32 op_imulhi(u32 a, u32 b) { return __umulhi(a, b); }
PINPOINT_OP u32 op_idiv(u32 a, u32 b) {
  if (b == 0u) return 0u;
  if (b == 0xffffffffu) return 0u - a;  // INT_MIN / -1 wraps
  return (u32)((int)a / (int)b);
}
PINPOINT_OP u32 op_irem(u32 a, u32 b) {
  if (b == 0u || b == 0xffffffffu) return 0u;
  return (u32)((int)a % (int)b);
}
PINPOINT_OP u32 op_iand(u32 a, u32 b) { return a & b; }
PINPOINT_OP u32 op_ior(u32 a, u32 b) { return a | b; }
PINPOINT_OP u32 op_ixor(u32 a, u32 b) { return a ^ b; }
PINPOINT_OP u32 op_ishl(u32 a, u32 b) { return a << (b & 31u); }
PINPOINT_OP u32 op_ishr(u32 a, u32 b) { return a >> (b & 31u); }
PINPOINT_OP u32 op_isar(u32 a, u32 b) { return (u32)((int)a >> (b & 31u)); }
PINPOINT_OP u32 op_ilt(u32 a, u32 b) { return (int)a < (int)b ? 1u : 0u; }
PINPOINT_OP u32 op_iult(u32 a, u32 b) { return a < b ? 1u : 0u; }
PINPOINT_OP u32 op_ieq(u32 a, u32 b) { return a == b ? 1u : 0u; }
PINPOINT_OP u32 op_imin(u32 a, u32 b) { return (int)a < (int)b ? a : b; }
PINPOINT_OP u32 op_imax(u32 a, u32 b) { return (int)a > (int)b ? a : b; }
PINPOINT_OP u32 op_isel(u32 a, u32 b, u32 c) { return a != 0u ? b : c; }

// The store of each dtype; the float one makes NaN canonical.
PINPOINT_OP void store(float* out, u32 at, float a) { ((u32*)out)[at] = op_f2b(a); }
PINPOINT_OP void store(u32* out, u32 at, u32 a) { out[at] = a; }
PINPOINT_OP void store(u8* out, u32 at, u32 a) { out[at] = (u8)a; }
