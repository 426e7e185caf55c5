// The tables of the tile_*.cpp files.
#pragma once

#include "tile.h"

namespace pinpoint {

extern const TileOps kBaselineTiles;
#if defined(__x86_64__)
extern const TileOps kAvx2Tiles;
extern const TileOps kAvx512Tiles;
#elif defined(__aarch64__)
extern const TileOps kNeonTiles;
#endif

}  // namespace pinpoint
