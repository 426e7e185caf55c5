#include "isa.h"

namespace pinpoint {

const BlockOps* const* available_ops(int* count) {
  static const BlockOps* tables[3];
  static const int found = [] {
    int n = 0;
#ifdef PINPOINT_X86
    __builtin_cpu_init();
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
      tables[n++] = &kAvx512;
    }
    if (avx2) tables[n++] = &kAvx2;
#endif
#ifdef PINPOINT_ARM
    tables[n++] = &kNeon;  // part of every 64-bit Arm
#endif
    tables[n++] = &kBaseline;
    return n;
  }();
  *count = found;
  return tables;
}

}  // namespace pinpoint
