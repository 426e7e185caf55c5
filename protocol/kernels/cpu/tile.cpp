#include "tile.h"

#include <cstring>

#include "tile_tables.h"

namespace pinpoint {

const TileOps& tile_ops(const char* name) {
  static const TileOps* const tables[] = {
      &kBaselineTiles,
#if defined(__x86_64__)
      &kAvx2Tiles,
      &kAvx512Tiles,
#elif defined(__aarch64__)
      &kNeonTiles,
#endif
  };
  for (const TileOps* table : tables) {
    if (std::strcmp(table->name, name) == 0) return *table;
  }
  return kBaselineTiles;  // any table gives the right bits
}

}  // namespace pinpoint
