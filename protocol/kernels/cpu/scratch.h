// Memory that a thread uses again and again: fresh pages cost more than what is computed in them.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <new>

namespace pinpoint {

class Scratch {
 public:
  Scratch() = default;
  ~Scratch() { std::free(words_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  // At least `count` words at a cache line's start; what they held before is lost or kept.
  float* get(int64_t count) {
    if (count > size_) {
      std::free(words_);
      size_ = 0;
      const size_t bytes = (static_cast<size_t>(count) * sizeof(float) + 4095) / 4096 * 4096;
      words_ = static_cast<float*>(std::aligned_alloc(4096, bytes));
      if (words_ == nullptr) throw std::bad_alloc();
      size_ = static_cast<int64_t>(bytes / sizeof(float));
    }
    return words_;
  }

 private:
  float* words_ = nullptr;
  int64_t size_ = 0;
};

}  // namespace pinpoint
