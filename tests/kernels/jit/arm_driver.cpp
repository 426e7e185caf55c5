// Runs compiled regions on cases from a file and writes their buffers back:
//
//     program cases.bin outputs.bin
//
// A case is, in 64-bit little-endian numbers: buffers, bytes of scratch, units, the unit at which
// the work is cut in two; then for each buffer its bytes and their contents. The functions are
// listed by the generated table.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

using Function = void (*)(void* const*, void*, int64_t, int64_t);
extern const Function kFunctions[];
extern const int kCount;

namespace {

int64_t number(FILE* file) {
  int64_t value = 0;
  if (std::fread(&value, sizeof value, 1, file) != 1) std::exit(2);
  return value;
}

}  // namespace

int main(int, char** argv) {
  FILE* cases = std::fopen(argv[1], "rb");
  FILE* outputs = std::fopen(argv[2], "wb");
  if (cases == nullptr || outputs == nullptr) return 1;
  for (int i = 0; i < kCount; ++i) {
    const int64_t count = number(cases);
    const int64_t scratch_bytes = number(cases);
    const int64_t units = number(cases);
    const int64_t cut = number(cases);
    std::vector<std::vector<uint8_t>> buffers(static_cast<size_t>(count));
    std::vector<void*> pointers;
    for (std::vector<uint8_t>& buffer : buffers) {
      buffer.resize(static_cast<size_t>(number(cases)));
      if (std::fread(buffer.data(), 1, buffer.size(), cases) != buffer.size()) return 2;
      pointers.push_back(buffer.data());
    }
    const size_t rounded = (static_cast<size_t>(scratch_bytes) + 64) & ~size_t{63};
    void* scratch = std::aligned_alloc(64, rounded);
    kFunctions[i](pointers.data(), scratch, cut, units);
    kFunctions[i](pointers.data(), scratch, 0, cut);
    std::free(scratch);
    for (const std::vector<uint8_t>& buffer : buffers) {
      if (std::fwrite(buffer.data(), 1, buffer.size(), outputs) != buffer.size()) return 3;
    }
  }
  return std::fclose(outputs) == 0 ? 0 : 4;
}
