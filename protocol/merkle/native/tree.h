// RFC 9162 Merkle trees over SHA-256: leaf hash SHA-256(0x00 || value), node hash SHA-256(0x01 ||
// left || right), and a ragged right edge: a node without a sibling moves up unchanged.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "sha256.h"

namespace pinpoint {

constexpr size_t kChunkBytes = 1024;

struct Bytes {
  const uint8_t* data;
  size_t size;
};

// Leaf hashes of values first .. first+count-1 of a buffer cut into values of `leaf_size` bytes
// (the last one of the buffer may be shorter); `out` takes 32 bytes each.
void hash_leaves(const Sha256& sha, Bytes buffer, size_t leaf_size, size_t first, size_t count,
                 uint8_t* out);

// One level up: `count` nodes of 32 bytes become (count+1)/2. `parents` may be `nodes`.
void hash_level(const Sha256& sha, const uint8_t* nodes, size_t count, uint8_t* parents);

// Leaf hashes of a whole buffer, on up to `threads` threads.
void hash_leaves_parallel(const Sha256& sha, Bytes buffer, size_t leaf_size, size_t threads,
                          uint8_t* out);

// hash_level on up to `threads` threads; `parents` must not overlap `nodes`.
void hash_level_parallel(const Sha256& sha, const uint8_t* nodes, size_t count, size_t threads,
                         uint8_t* parents);

// Roots of the trees over the 1,024-byte chunks of each buffer, 32 bytes each, with the work of all
// buffers shared by up to `threads` threads. Needs memory of about 32 bytes per MiB of input.
// Every buffer must have at least one byte.
void tensor_roots(const Sha256& sha, const std::vector<Bytes>& buffers, size_t threads,
                  uint8_t* out);

}  // namespace pinpoint
