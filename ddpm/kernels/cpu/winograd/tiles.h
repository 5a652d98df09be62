// Where the tiles and the channels of a map lie. All passes use it.
#pragma once

#include <algorithm>
#include <cstdint>

#include "ddpm/kernels/cpu/work/tasks.h"

namespace ddpm::cpu {

// Tiles of m x m outputs that cover maps [batch, height, width]; the last ones may reach beyond the
// map.
struct Tiles {
  Tiles(int64_t tile, int64_t batch, int64_t map_height, int64_t map_width)
      : m(tile),
        height(map_height),
        width(map_width),
        rows(ceil_div(map_height, tile)),
        columns(ceil_div(map_width, tile)),
        count(batch * rows * columns) {}

  int64_t positions() const { return (m + 2) * (m + 2); }

  // Pointers to the channels of size x size pixels whose first is `margin` above and left of tile
  // t's first output; outside of the map they are `outside`.
  template <class T>
  void pixels(int64_t t, int64_t size, int64_t margin, T* map, int64_t channels, T* outside,
              T** to) const {
    const int64_t line = t / columns, image = line / rows;
    const int64_t u = (line - image * rows) * m - margin, v = (t - line * columns) * m - margin;
    const int64_t top = std::max<int64_t>(0, -u), bottom = std::min(size, height - u);
    const int64_t left = std::max<int64_t>(0, -v), right = std::min(size, width - v);
    if (bottom - top < size || right - left < size) std::fill_n(to, size * size, outside);
    for (int64_t i = top; i < bottom; ++i) {
      T* pixel = map + ((image * height + u + i) * width + v + left) * channels;
      for (int64_t j = left; j < right; ++j, pixel += channels) to[i * size + j] = pixel;
    }
  }

  int64_t m, height, width, rows, columns, count;
};

inline constexpr int64_t kMaxPositions = 36;

// Channels in blocks of `size`.
struct Blocks {
  Blocks(int64_t channels, int64_t block_size)
      : all(channels), size(block_size), count(ceil_div(channels, block_size)) {}
  Range channels(Range blocks) const {
    return {blocks.begin * size, std::min(all, blocks.end * size)};
  }
  int64_t all, size, count;
};

// Cuts a range at the first multiple of `size` in it. Calls visit(i, piece) for each piece that is
// not empty, i being the piece's first element over size.
template <class Visit>
void from_multiples(Range range, int64_t size, const Visit& visit) {
  const int64_t middle = std::min(range.end, ceil_div(range.begin, size) * size);
  if (range.begin < middle) visit(range.begin / size, Range{range.begin, middle});
  if (middle < range.end) visit(middle / size, Range{middle, range.end});
}

// The distance between two positions: `size` floats or a little more, an odd number of cache lines.
// Otherwise the positions of one channel would share one set of the cache.
inline int64_t position_stride(int64_t size) { return (ceil_div(size, 16) | 1) * 16; }

}  // namespace ddpm::cpu
