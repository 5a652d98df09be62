// The first step of every pass: V, the transformed tiles of its input map.
#pragma once

#include <cstdint>

#include "ddpm/kernels/cpu/conv/conv_shape.h"
#include "ddpm/kernels/cpu/winograd/tiles.h"

namespace ddpm::cpu {

// V of a block of at most so many tiles, block after block of channels [position][tile][block].
struct InputLayout {
  InputLayout(const Tiles& tiles, const Blocks& channel_blocks, int64_t most_tiles)
      : blocks(channel_blocks),
        stride((most_tiles + 1) * blocks.size),  // transforms write whole vectors
        block_floats(tiles.positions() * stride),
        floats(blocks.count * block_floats) {}
  Blocks blocks;
  int64_t stride;  // between positions
  int64_t block_floats, floats;
};

// V of tiles [range) for `some` of the blocks of channels, to v, where the first of these blocks
// begins. zeros: as many as there are channels.
void transform_input(const Tiles& tiles, Range range, const SplitMap<const float>& x,
                     const InputLayout& layout, Range some, const float* zeros, float* v);

}  // namespace ddpm::cpu
