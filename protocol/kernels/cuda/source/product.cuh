// A matrix product: out[i][j] = fma(a[i][k], b[k][j], out[i][j]) for k in increasing order.
//
// Order of additions: one accumulator in a register of one thread sees its k in order, from the
// first to the last. Blocks of kDepth terms are staged through shared memory, the next while this
// one is used. Rows and columns beyond the matrix are computed and thrown away; k is never padded,
// and an element out of bounds takes part with its fill like any other.
//
// V gives the sizes (rows, columns, depth, batches), the tile, the two views as functions of
// (batch, row or column, k), and the place of an output element.

template <int kCount>
PINPOINT_OP void read_lane(float* values, const float* line, int lane, int extent) {
  constexpr int kGroup = kCount < 4 ? kCount : 4;
#pragma unroll
  for (int g = 0; g < kCount / kGroup; ++g) {
    const float* from = line + g * (extent * kGroup / kCount) + lane * kGroup;
    if (kGroup == 4) {
      const float4 four = *(const float4*)from;
      values[4 * g] = four.x;
      values[4 * g + 1] = four.y;
      values[4 * g + 2] = four.z;
      values[4 * g + 3] = four.w;
    } else {
#pragma unroll
      for (int i = 0; i < kGroup; ++i) values[g * kGroup + i] = from[i];
    }
  }
}

// Where value number i of a lane lies in the tile, as `read_lane` reads it.
template <int kCount>
PINPOINT_OP u32 place_in_tile(int i, int lane, int extent) {
  constexpr int kGroup = kCount < 4 ? kCount : 4;
  return (u32)(i / kGroup * (extent * kGroup / kCount) + lane * kGroup + i % kGroup);
}

template <class V>
PINPOINT_OP void product(float* __restrict__ out, const float* __restrict__ a,
                         const float* __restrict__ b) {
  constexpr int kRows = V::tile, kColumns = V::tile, kDepth = V::tile_depth;
  constexpr int kPer = V::per_thread;  // rows, and columns, of a thread
  constexpr int kThreads = (kRows / kPer) * (kColumns / kPer);
  constexpr int kPad = 4;  // keeps 16-byte alignment, and stores along k off each other's banks
  constexpr int kFetch = kRows * kDepth / kThreads;
  __shared__ __align__(16) float tile_a[2][kDepth][kRows + kPad];
  __shared__ __align__(16) float tile_b[2][kDepth][kColumns + kPad];

  const u32 across = (V::columns + kColumns - 1) / kColumns;
  const u32 down = (V::rows + kRows - 1) / kRows;
  const u32 column0 = blockIdx.x % across * kColumns;
  const u32 row0 = blockIdx.x / across % down * kRows;
  const u32 batch = blockIdx.x / across / down;
  const int thread = (int)threadIdx.x;
  const int tx = thread % (kColumns / kPer), ty = thread / (kColumns / kPer);

  float sums[kPer][kPer];
#pragma unroll
  for (int i = 0; i < kPer; ++i) {
#pragma unroll
    for (int j = 0; j < kPer; ++j) sums[i][j] = op_b2f(V::init);
  }

  float next_a[kFetch], next_b[kFetch];
  auto fetch = [&](u32 k0) {
#pragma unroll
    for (int i = 0; i < kFetch; ++i) {
      const int at = thread + i * kThreads;
      const u32 row = row0 + (u32)(V::a_along_k ? at / kDepth : at % kRows);
      const u32 k_a = k0 + (u32)(V::a_along_k ? at % kDepth : at / kRows);
      next_a[i] = row < V::rows && k_a < V::depth ? V::load_a(a, batch, row, k_a) : 0.0f;
      const u32 column = column0 + (u32)(V::b_along_k ? at / kDepth : at % kColumns);
      const u32 k_b = k0 + (u32)(V::b_along_k ? at % kDepth : at / kColumns);
      next_b[i] = column < V::columns && k_b < V::depth ? V::load_b(b, batch, column, k_b) : 0.0f;
    }
  };
  auto stage = [&](int half) {
#pragma unroll
    for (int i = 0; i < kFetch; ++i) {
      const int at = thread + i * kThreads;
      tile_a[half][V::a_along_k ? at % kDepth : at / kRows]
            [V::a_along_k ? at / kDepth : at % kRows] = next_a[i];
      tile_b[half][V::b_along_k ? at % kDepth : at / kColumns]
            [V::b_along_k ? at / kDepth : at % kColumns] = next_b[i];
    }
  };
  auto multiply = [&](int half, int k) {
    float x[kPer], y[kPer];
    read_lane<kPer>(x, tile_a[half][k], ty, kRows);
    read_lane<kPer>(y, tile_b[half][k], tx, kColumns);
#pragma unroll
    for (int i = 0; i < kPer; ++i) {
#pragma unroll
      for (int j = 0; j < kPer; ++j) sums[i][j] = op_fma(x[i], y[j], sums[i][j]);
    }
  };

  fetch(0u);
  stage(0);
  __syncthreads();
  int half = 0;
  for (u32 k0 = 0u; k0 < V::depth; k0 += kDepth) {
    const bool more = k0 + kDepth < V::depth;
    if (more) fetch(k0 + kDepth);
    if (k0 + kDepth <= V::depth) {
#pragma unroll
      for (int k = 0; k < kDepth; ++k) multiply(half, k);
    } else {
#pragma unroll 1
      for (int k = 0; k < (int)(V::depth - k0); ++k) multiply(half, k);
    }
    if (!more) break;
    half ^= 1;
    stage(half);  // its last readers passed the barrier below
    __syncthreads();
  }

#pragma unroll
  for (int i = 0; i < kPer; ++i) {
#pragma unroll
    for (int j = 0; j < kPer; ++j) {
      const u32 row = row0 + place_in_tile<kPer>(i, ty, kRows);
      const u32 column = column0 + place_in_tile<kPer>(j, tx, kColumns);
      if (row < V::rows && column < V::columns) {
        store(out, V::place(batch, row, column), sums[i][j]);
      }
    }
  }
}
