// Hashes of many messages of one length: the widest kernel takes as many as it can at a time.
#pragma once

#include <cstddef>
#include <cstdint>

#include "sha256.h"

namespace pinpoint {

// SHA-256(prefix || value) of `count` values of `size` bytes that lie one after the other from
// `values` on; `digests` takes 32 bytes each. `digests` may be `values` if size >= 32: digests are
// written after all values of a pass are read.
void hash_messages(const Sha256& sha, uint8_t prefix, const uint8_t* values, size_t size,
                   size_t count, uint8_t* digests);

}  // namespace pinpoint
