// While one tile is transformed, the pixels of the next one are found and prefetched.
#include "ddpm/kernels/cpu/winograd/input.h"

#include <algorithm>

#include "ddpm/kernels/cpu/winograd/kernels.h"

namespace ddpm::cpu {
namespace {

constexpr int kMostParts = 2;  // of a SplitMap

}  // namespace

void transform_input(const Tiles& tiles, Range range, const SplitMap<const float>& x,
                     const InputLayout& layout, Range some, const float* zeros, float* v) {
  const WinogradKernels& kernels = winograd_kernels(tiles.m);
  const Blocks& blocks = layout.blocks;
  const Range channels = blocks.channels(some);
  if (channels.size() % blocks.size != 0) {
    std::fill_n(v + (some.size() - 1) * layout.block_floats, layout.block_floats, 0.0f);
  }
  // A tile's pixels and the next one's, by the tile's parity.
  const float* pixels[2][kMostParts][kMaxPositions];
  const auto find_pixels = [&](int64_t t) {
    const float*(*to)[kMaxPositions] = pixels[t % 2];
    x.for_each_part(channels.begin, channels.end, blocks.all,
                    [&](const float* map, int64_t width, int64_t, int64_t, int64_t) {
                      tiles.pixels(range.begin + t, tiles.m + 2, 1, map, width, zeros, *to++);
                    });
  };
  find_pixels(0);
  for (int64_t t = 0; t < range.size(); ++t) {
    if (t + 1 < range.size()) find_pixels(t + 1);
    int part = 0;
    x.for_each_part(
        channels.begin, channels.end, blocks.all,
        [&](const float*, int64_t, int64_t at, int64_t first, int64_t count) {
          const float *const *now = pixels[t % 2][part], *const *next = pixels[(t + 1) % 2][part];
          from_multiples({first, first + count}, blocks.size, [&](int64_t b, Range piece) {
            float* to = v + (b - some.begin) * layout.block_floats + t * blocks.size;
            kernels.input(now, t + 1 < range.size() ? next : now, at + piece.begin - first,
                          piece.size(), to + piece.begin - b * blocks.size, layout.stride,
                          layout.block_floats);
          });
          ++part;
        });
  }
}

}  // namespace ddpm::cpu
