// Commitments to tensors (docs/PROTOCOL.md, section 5): SHA-256 of chunks and of tree nodes.
//
// A thread hashes one chunk, or one pair of nodes. Hashes are stored as their bytes: 8 words of 4.
__constant__ u32 kRound[64] = {
    0x428a2f98u, 0x71374491u, 0xb5c0fbcfu, 0xe9b5dba5u, 0x3956c25bu, 0x59f111f1u, 0x923f82a4u,
    0xab1c5ed5u, 0xd807aa98u, 0x12835b01u, 0x243185beu, 0x550c7dc3u, 0x72be5d74u, 0x80deb1feu,
    0x9bdc06a7u, 0xc19bf174u, 0xe49b69c1u, 0xefbe4786u, 0x0fc19dc6u, 0x240ca1ccu, 0x2de92c6fu,
    0x4a7484aau, 0x5cb0a9dcu, 0x76f988dau, 0x983e5152u, 0xa831c66du, 0xb00327c8u, 0xbf597fc7u,
    0xc6e00bf3u, 0xd5a79147u, 0x06ca6351u, 0x14292967u, 0x27b70a85u, 0x2e1b2138u, 0x4d2c6dfcu,
    0x53380d13u, 0x650a7354u, 0x766a0abbu, 0x81c2c92eu, 0x92722c85u, 0xa2bfe8a1u, 0xa81a664bu,
    0xc24b8b70u, 0xc76c51a3u, 0xd192e819u, 0xd6990624u, 0xf40e3585u, 0x106aa070u, 0x19a4c116u,
    0x1e376c08u, 0x2748774cu, 0x34b0bcb5u, 0x391c0cb3u, 0x4ed8aa4au, 0x5b9cca4fu, 0x682e6ff3u,
    0x748f82eeu, 0x78a5636fu, 0x84c87814u, 0x8cc70208u, 0x90befffau, 0xa4506cebu, 0xbef9a3f7u,
    0xc67178f2u};

constexpr u32 kChunk = 1024u;

PINPOINT_OP u32 rotate(u32 x, u32 n) {
  return __funnelshift_r(x, x, n);
}
PINPOINT_OP u32 swap_bytes(u32 x) {
  return __byte_perm(x, 0u, 0x0123u);
}

PINPOINT_OP void start(u32* h) {
  h[0] = 0x6a09e667u, h[1] = 0xbb67ae85u, h[2] = 0x3c6ef372u, h[3] = 0xa54ff53au;
  h[4] = 0x510e527fu, h[5] = 0x9b05688cu, h[6] = 0x1f83d9abu, h[7] = 0x5be0cd19u;
}

// One block of 16 big-endian words; w is overwritten with the message schedule.
PINPOINT_OP void compress(u32* h, u32* w) {
  u32 a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], x = h[7];
  for (u32 base = 0u; base < 64u; base += 16u) {
#pragma unroll
    for (u32 i = 0u; i < 16u; ++i) {
      if (base != 0u) {
        const u32 p = w[(i + 1u) & 15u], q = w[(i + 14u) & 15u];
        const u32 s0 = rotate(p, 7u) ^ rotate(p, 18u) ^ (p >> 3);
        const u32 s1 = rotate(q, 17u) ^ rotate(q, 19u) ^ (q >> 10);
        w[i] += s0 + w[(i + 9u) & 15u] + s1;
      }
      const u32 t1 = x + (rotate(e, 6u) ^ rotate(e, 11u) ^ rotate(e, 25u)) + ((e & f) ^ (~e & g)) +
                     kRound[base + i] + w[i];
      const u32 t2 =
          (rotate(a, 2u) ^ rotate(a, 13u) ^ rotate(a, 22u)) + ((a & b) ^ (a & c) ^ (b & c));
      x = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
    }
  }
  h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e, h[5] += f, h[6] += g, h[7] += x;
}

// Word j of 0x00 || chunk || 0x80 || zeros; `aligned` chunks are read four bytes at a time.
PINPOINT_OP u32 leaf_word(const u8* chunk, u32 length, u32 j, bool aligned) {
  if (aligned && 4u * j + 4u <= length) {
    const u32* words = (const u32*)chunk;
    const u32 before = j == 0u ? 0u : words[j - 1u];
    return (before >> 24 << 24) | (swap_bytes(words[j]) >> 8);
  }
  u32 word = 0u;
  for (u32 i = 0u; i < 4u; ++i) {
    const u32 t = 4u * j + i;
    const u32 byte = t == 0u || t > length + 1u ? 0u : t == length + 1u ? 0x80u : chunk[t - 1u];
    word = word << 8 | byte;
  }
  return word;
}

extern "C" __global__ void __launch_bounds__(256)
    leaf_hashes(const u8* __restrict__ data, u64 bytes, u32* __restrict__ hashes) {
  const u64 chunk = (u64)blockIdx.x * 256u + threadIdx.x;
  if (chunk * kChunk >= bytes) return;
  const u64 rest = bytes - chunk * kChunk;
  const u32 length = rest < kChunk ? (u32)rest : kChunk;
  const u8* from = data + chunk * kChunk;
  const bool aligned = ((u64)from & 3u) == 0u;
  const u32 blocks = (length + 1u + 9u + 63u) / 64u;
  u32 h[8];
  start(h);
  for (u32 block = 0u; block < blocks; ++block) {
    u32 w[16];
#pragma unroll
    for (u32 i = 0u; i < 16u; ++i) w[i] = leaf_word(from, length, 16u * block + i, aligned);
    if (block == blocks - 1u) w[15] = 8u * (length + 1u);
    compress(h, w);
  }
#pragma unroll
  for (u32 i = 0u; i < 8u; ++i) hashes[8u * chunk + i] = swap_bytes(h[i]);
}

// The level above `count` nodes: neighbours in pairs; a node without a sibling moves up unchanged.
extern "C" __global__ void __launch_bounds__(256)
    parent_hashes(const u32* __restrict__ below, u64 count, u32* __restrict__ above) {
  const u64 node = (u64)blockIdx.x * 256u + threadIdx.x;
  if (2u * node >= count) return;
  const u32* pair = below + 16u * node;
  if (2u * node + 1u == count) {
#pragma unroll
    for (u32 i = 0u; i < 8u; ++i) above[8u * node + i] = pair[i];
    return;
  }
  u32 h[8], w[16];
  start(h);
  u32 before = 0x01u;  // the prefix, then the last byte of the word before
#pragma unroll
  for (u32 i = 0u; i < 16u; ++i) {
    const u32 word = swap_bytes(pair[i]);
    w[i] = before << 24 | word >> 8;
    before = word;
  }
  compress(h, w);
  w[0] = before << 24 | 0x800000u;
#pragma unroll
  for (u32 i = 1u; i < 15u; ++i) w[i] = 0u;
  w[15] = 8u * 65u;
  compress(h, w);
#pragma unroll
  for (u32 i = 0u; i < 8u; ++i) above[8u * node + i] = swap_bytes(h[i]);
}
