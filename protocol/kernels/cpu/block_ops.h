// What the engine asks of an instruction set: loops over a block of lanes.
//
// One table exists per instruction set (baseline, avx2, avx512, neon); all give the same bits.
// Lanes are 32-bit words. Counts are rounded up to kLanes by the callee: buffers are padded
// accordingly.
#pragma once

#include <cstdint>

namespace pinpoint {

constexpr int kBlock = 256;  // lanes of a block (measured best: 128-256)
constexpr int kLanes = 16;   // every buffer is a multiple of this long

// One instruction with its operands resolved to buffer numbers.
struct Step {
  uint8_t op;
  uint8_t uses_accumulator;  // bit i: argument i depends on acc (term mode only)
  uint16_t destination;
  uint16_t args[3];
};

struct BlockOps {
  const char* name;

  // Runs steps in order over n lanes; buffers[i] is the address of buffer i.
  void (*run)(const Step* steps, int count, uint32_t* const* buffers, int n);

  // Folds n terms one after the other into *accumulator: the steps that depend on acc, in order.
  // `result` is the buffer of the new accumulator, 0 if it is unchanged, which differs from an
  // independent value in that `dependent` is set. `live` (or null) is 0 for a skipped term.
  // `record` (or null) receives the accumulator after each term at distance `record_stride`.
  void (*chain)(const Step* steps, int count, int result, bool dependent, uint32_t* const* buffers,
                int n, const uint32_t* live, uint32_t* accumulator, uint32_t* record,
                int64_t record_stride);

  // destination[t] = live[t] ? value[t] : destination[t]
  void (*blend)(uint32_t* destination, const uint32_t* value, const uint32_t* live, int n);

  void (*gather)(uint32_t* destination, const uint32_t* source, const int32_t* offsets, int n);
  void (*gather_u8)(uint32_t* destination, const uint8_t* source, const int32_t* offsets, int n);
  void (*gather_strided)(uint32_t* destination, const uint32_t* source, int64_t stride, int n);

  // destination[t] = (start + t) / period % dim, for start + t below 2^31
  void (*count)(uint32_t* destination, int64_t start, int64_t period, int64_t dim, int n);

  // Checked addresses. `narrow` tells that the coordinates fit an i32 (addresses always fit a u32),
  // which is the usual case and several times faster; values are then i32, else i64.
  // value[t] += coef * word[t]
  void (*add_word)(bool narrow, void* value, const uint32_t* word, int64_t coef, int n);
  // result[t] = value[t] + scalar
  void (*shift)(bool narrow, void* result, const void* value, int64_t scalar, int n);
  // coordinate = value / divisor; live &= in bounds; address += stride * coordinate (modulo 2^32).
  void (*check_axis)(bool narrow, const void* value, uint32_t divisor, uint32_t size,
                     uint64_t stride, uint32_t* address, uint32_t* live, int n);
  // destination[t] = live[t] ? source[address[t]] : fill
  void (*pick)(uint32_t* destination, const uint32_t* source, const uint32_t* address,
               const uint32_t* live, uint32_t fill, int n);
  void (*pick_u8)(uint32_t* destination, const uint8_t* source, const uint32_t* address,
                  const uint32_t* live, uint32_t fill, int n);

  // destination and source may be the same; exactly n elements are written.
  void (*canonicalise)(uint32_t* destination, const uint32_t* source, int64_t n);
  void (*narrow_u8)(uint8_t* destination, const uint32_t* source, int64_t n);
};

// The tables that this machine can run, best first; the baseline is always the last.
const BlockOps* const* available_ops(int* count);

}  // namespace pinpoint
