// The tile kernels in terms of one instruction set's vectors. The including file defines, in a
// namespace of its own and under its own target attributes:
//   Vec, kLanes, kRowStrip, kRows, kVectors
//   load, store, load_part(from, n), store_part(to, n, vector), splat, fused(a, b, c), canonical
//   transpose(Vec[kLanes]): in place
//   evens(low, high): lanes 0, 2, ... of two vectors
// Order of additions: k in increasing order on each accumulator; nothing else is added.

template <int R, int V, bool kInPlace>
void run_tile(const Tile& t) {
  Vec sums[R][V];
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const float* c = t.c[v] + t.c_rows[i];
      sums[i][v] = t.first                ? splat(t.init)
                   : t.lanes[v] == kLanes ? load(c)
                                          : load_part(c, t.lanes[v]);
    }
  }
  for (int i = 0; i < R; ++i) {
    for (int v = 0; v < V; ++v) __builtin_prefetch(t.c[v] + t.next_rows[i], 1);
  }
  const float* a = t.a;
  const float* b[V];
  for (int v = 0; v < V; ++v) b[v] = t.b[v];
  const int64_t depth = t.depth;
  const int64_t* terms = t.terms;
  for (int64_t k = 0; k < depth; ++k, a += kRowStrip) {
    const int64_t at = kInPlace ? terms[k] : k * kLanes;
    Vec lanes[V];
    for (int v = 0; v < V; ++v) lanes[v] = load(b[v] + at);
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
      const Vec scalar = splat(a + i);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sums[i][v] = fused(scalar, lanes[v], sums[i][v]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      float* c = t.c[v] + t.c_rows[i];
      const Vec sum = t.last ? canonical(sums[i][v]) : sums[i][v];
      if (t.lanes[v] == kLanes) {
        store(c, sum);
      } else {
        store_part(c, t.lanes[v], sum);
      }
    }
  }
}

template <int... N>
constexpr std::array<TileKernel, sizeof...(N)> all_tiles(std::integer_sequence<int, N...>) {
  return {run_tile<N % kRows + 1, N / kRows % kVectors + 1, (N >= kRows * kVectors)>...};
}

constexpr std::array<TileKernel, 2 * kVectors * kRows> kTiles =
    all_tiles(std::make_integer_sequence<int, 2 * kVectors * kRows>());

constexpr int64_t kAhead = 12;  // rows that packing fetches before it needs them

void pack_lanes(float* strips, int width, const float* from, const Strip* strip, int count,
                const int64_t* terms, int64_t depth) {
  const int64_t origin = strip[0].first;
  const int64_t length = strip[count - 1].first + strip[count - 1].lanes - origin;
  for (int64_t k = 0; k < depth; ++k, strips += width) {
    const float* row = from + terms[k] - origin;
    if (k + kAhead < depth) {  // rows are far apart: no hardware fetches them ahead
      const float* ahead = from + terms[k + kAhead];
      for (int64_t i = 0; i < length; i += 16) __builtin_prefetch(ahead + i);
    }
    for (int s = 0; s < count; ++s) {
      float* to = strips + s * width * depth;
      const float* lane = row + strip[s].first;
      for (int i = 0; i < width; i += kLanes) {
        const int n = strip[s].lanes - i;
        store(to + i, n >= kLanes ? load(lane + i) : load_part(lane + i, n < 0 ? 0 : n));
      }
    }
  }
}

void pack_terms(float* strip, int64_t width, int64_t room, const float* from, const int64_t* lines,
                int n, int64_t depth) {
  for (int first = 0; first < n; first += kLanes) {
    const int part = n - first < kLanes ? n - first : kLanes;
    const bool whole = first + kLanes <= room;
    float* to = strip + first;
    int64_t k = 0;
    for (; k + kLanes <= depth; k += kLanes) {
      Vec block[kLanes];
      for (int i = 0; i < kLanes; ++i) {
        // A line that is not there repeats the last one.
        block[i] = load(from + lines[first + (i < part ? i : part - 1)] + k);
      }
      transpose(block);
      for (int i = 0; i < kLanes; ++i) {
        if (whole) {
          store(to + (k + i) * width, block[i]);
        } else {
          store_part(to + (k + i) * width, part, block[i]);
        }
      }
    }
    for (; k < depth; ++k) {
      for (int i = 0; i < part; ++i) to[k * width + i] = from[lines[first + i] + k];
    }
  }
}

void copy_evens(float* to, const float* from, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const float* low = from + 2 * i;
    store(to + i, evens(load(low), load_part(low + kLanes, kLanes - 1)));
  }
  for (; i < n; ++i) to[i] = from[2 * i];
}
