// What a matrix product asks of an instruction set: tiles of accumulators and the packing of
// strips. One table exists per instruction set; all give the same bits.
//
// A strip holds `n` lines (rows of the left factor or columns of the right one) term by term:
// word `line` of term k is at strip[k * width + line].
#pragma once

#include <cstdint>

namespace pinpoint {

constexpr int kMaxVectors = 3;  // of a tile's columns
constexpr int kMaxStrip = 16;   // widest strip of any instruction set

struct Strip {
  int64_t first;  // of its lines
  int lanes;
};

// c[i][v][lane] = fma(a[i][k], b[k][v][lane], c[i][v][lane]) for k in increasing order.
struct Tile {
  const float* a;               // a strip: row i of term k at a[k * row_strip + i]
  const float* b[kMaxVectors];  // lanes of term k: at b[v] + terms[k], or in a strip of `lanes`
  const int64_t* terms;
  int64_t depth;
  float* c[kMaxVectors];     // first lane of row 0
  const int64_t* c_rows;     // distance of row i from row 0, plus c_rows[0]
  int lanes[kMaxVectors];    // lanes that belong to the matrix; the others are thrown away
  const int64_t* next_rows;  // c_rows of the tile that comes next: fetched ahead
  uint32_t init;
  bool first;  // accumulators start from init instead of c
  bool last;   // a NaN becomes the canonical one
};

using TileKernel = void (*)(const Tile& tile);

struct TileOps {
  const char* name;
  int lanes;                  // of a vector: the width of a strip of columns
  int row_strip;              // the width of a strip of rows
  int rows;                   // most rows of a tile
  int vectors;                // most vectors of a tile
  const TileKernel* kernels;  // [b in place][vectors - 1][rows - 1]

  // strip[s][k * width + i] = from[terms[k] + s.first + i] for i < s.lanes, for neighbouring strips
  // at once: rows of memory are read as long as they are. The words up to width are zeros.
  void (*pack_lanes)(float* strips, int width, const float* from, const Strip* strip, int count,
                     const int64_t* terms, int64_t depth);
  // strip[k * width + i] = from[lines[i] + k] for i < n <= width. The words from n on are kept, but
  // those before `room` may be written.
  void (*pack_terms)(float* strip, int64_t width, int64_t room, const float* from,
                     const int64_t* lines, int n, int64_t depth);
  // to[i] = from[2 * i] for i < n; nothing beyond from[2 * n - 2] is read.
  void (*copy_evens)(float* to, const float* from, int64_t n);

  TileKernel kernel(int rows_of_tile, int vectors_of_tile, bool in_place) const {
    return kernels[((in_place ? vectors : 0) + vectors_of_tile - 1) * rows + rows_of_tile - 1];
  }
};

// The table that goes with the block operations of this name.
const TileOps& tile_ops(const char* name);

}  // namespace pinpoint
