// Backward-weights Winograd convolution: dw = G^T [sum over tiles of (B^T x B) * (A dy A^T)] G.
// With V the transformed tiles of x and D those of dy, the sum is a transposed product per
// position, S[position][c][k] = sum over tiles t of V[position][t][c] D[position][t][k], for which
// both transforms deliver the rows that the micro-kernel wants.
//
// Blocking. V and D are made first, for as many tiles as kBytes hold, channels in blocks of 64: V
// [position][block][tile][64], D [position][panel of nr][tile][nr]. A task then takes one block of
// input channels, one of output channels and some positions; S of one position stays in the cache
// while kDepth tiles at a time pass. Where there are blocks enough for the threads, a task takes
// all positions and ends with G^T S G into dw; else S goes to memory, for few channels, and the end
// is a pass of its own. The order of additions depends on the problem alone, so results do not
// depend on the threads.
//
// Where there are few tiles (small maps, small batches), S and its way into the
// second-level cache and back take longer than the products. There S is made for one block of
// channels and one panel, as in winograd.cpp, and transformed before it leaves the first level.
#include <algorithm>

#include "ddpm/base/threads.h"
#include "ddpm/kernels/cpu/gemm_kernels.h"
#include "ddpm/kernels/cpu/winograd.h"
#include "ddpm/kernels/cpu/winograd_kernels.h"
#include "ddpm/kernels/cpu/winograd_tiles.h"

namespace ddpm::cpu {
namespace {

constexpr int64_t kBlockChannels = 64;        // of x and of dy per task
constexpr int64_t kDepth = 96;                // V of so many tiles and a panel of D fill 30 KiB
constexpr int64_t kBytes = int64_t{8} << 20;  // of V and D; they pass through the last-level cache
constexpr int64_t kFewTiles = 32;
constexpr int64_t kGroupPanels = 4;      // of a task where there are few tiles
constexpr int64_t kTransformTasks = 16;  // over which dbias is summed in turn

struct Problem {
  Tiles tiles;
  SplitMap<const float> x;
  const float* dy;
  int64_t channels, outputs;
};

struct Plan {
  int64_t positions, panels;
  int64_t channel_blocks, panel_blocks, position_tasks;
  int64_t chunks, most_tiles;  // chunks of at most so many tiles
  int64_t v_stride, d_stride;  // between positions
  int64_t s_row, s_stride;     // S[position * s_stride + c * s_row + k] of one block
  int64_t blocks() const { return channel_blocks * panel_blocks; }
  int64_t s_size() const { return s_stride * positions; }
  // S outlives a task that has not all of its tiles or positions.
  bool s_in_memory() const { return chunks > 1 || position_tasks > 1; }
};

Plan make_plan(const Problem& p, const GemmKernels& kernels) {
  Plan plan;
  plan.positions = p.tiles.positions();
  plan.panels = ceil_div(p.outputs, kernels.nr);
  plan.channel_blocks = ceil_div(p.channels, kBlockChannels);
  plan.panel_blocks = ceil_div(plan.panels * kernels.nr, kBlockChannels);
  const int64_t widths = plan.channel_blocks * kBlockChannels + plan.panels * kernels.nr;
  const int64_t fit = std::max(kDepth, kBytes / (plan.positions * widths * 4));
  plan.chunks = ceil_div(p.tiles.count, fit);
  plan.most_tiles = ceil_div(p.tiles.count, plan.chunks);
  plan.v_stride = position_stride(plan.channel_blocks * plan.most_tiles * kBlockChannels);
  plan.d_stride = position_stride(plan.panels * plan.most_tiles * kernels.nr);
  plan.s_row = ceil_div(plan.panels, plan.panel_blocks) * kernels.nr;
  plan.s_stride = position_stride(ceil_div(p.channels, plan.channel_blocks) * plan.s_row);
  const int64_t wanted = num_threads() == 1 ? 1 : 2 * num_threads();
  plan.position_tasks = std::min(plan.positions, ceil_div(wanted, plan.blocks()));
  return plan;
}

// One block of S and of dw.
struct Block {
  Block(const Problem& p, const Plan& plan, int64_t nr, int64_t index)
      : number(index % plan.channel_blocks),
        channels(piece(p.channels, plan.channel_blocks, number)),
        panels(piece(plan.panels, plan.panel_blocks, index / plan.channel_blocks)),
        column(panels.begin * nr),
        columns(std::min(p.outputs - column, panels.size() * nr)) {}
  int64_t number;  // among the blocks of channels
  Range channels, panels;
  int64_t column, columns;
};

struct Transformed {
  float *v, *d;
};

// V and D of tiles [first, first + count) from tile `at` of the chunk on; what dbias gets of them
// to sums[k], where not null.
void transform_tiles(const Problem& p, const Plan& plan, int64_t nr, int64_t first, Range tiles,
                     int64_t chunk_tiles, const float* zeros, const Transformed& to, float* sums) {
  const WinogradKernels& transforms = winograd_kernels(p.tiles.m);
  const int64_t m = p.tiles.m;
  for (int64_t t = tiles.begin; t < tiles.end; ++t) {
    const float* pixels[kMaxPositions];
    for (int64_t block = 0; block < plan.channel_blocks; ++block) {
      const Range channels = piece(p.channels, plan.channel_blocks, block);
      float* v = to.v + (block * chunk_tiles + t) * kBlockChannels;
      p.x.for_each_part(channels.begin, channels.end, p.channels,
                        [&](const float* x, int64_t width, int64_t at, int64_t c, int64_t count) {
                          p.tiles.pixels(first + t, m + 2, 1, x, width, zeros, pixels);
                          transforms.input(pixels, pixels, at, count, v + c - channels.begin,
                                           plan.v_stride, transforms.block);
                        });
    }
    p.tiles.pixels(first + t, m, 0, p.dy, p.outputs, zeros, pixels);
    transforms.output_gradient(pixels, p.outputs, to.d + t * nr, plan.d_stride, chunk_tiles * nr,
                               sums);
  }
}

// S of a block at positions [positions) over the chunk's tiles, added to what it holds or not.
void multiply(const Plan& plan, const GemmKernels& kernels, const Block& block, Range positions,
              int64_t chunk_tiles, const Transformed& from, bool accumulate, float* s) {
  const int64_t nr = kernels.nr, depths = ceil_div(chunk_tiles, kDepth);
  const int64_t groups = ceil_div(block.channels.size(), kernels.mr);
  for (int64_t position = positions.begin; position < positions.end; ++position) {
    const float* v =
        from.v + position * plan.v_stride + block.number * chunk_tiles * kBlockChannels;
    const float* d = from.d + position * plan.d_stride;
    for (int64_t i = 0; i < depths; ++i) {
      const Range tiles = piece(chunk_tiles, depths, i);
      const float* left[kDepth];
      for (int64_t t = 0; t < tiles.size(); ++t) left[t] = v + (tiles.begin + t) * kBlockChannels;
      for (int64_t panel = block.panels.begin; panel < block.panels.end; ++panel) {
        for (int64_t group = 0; group < groups; ++group) {
          const Range rows = piece(block.channels.size(), groups, group);
          float* to[kMaxTileRows];
          for (int64_t r = 0; r < rows.size(); ++r) {
            to[r] = s + position * plan.s_stride + (rows.begin + r) * plan.s_row +
                    (panel - block.panels.begin) * nr;
          }
          kernels.column_tile(rows.size(),
                              {.left = left,
                               .depth = tiles.size(),
                               .offset = rows.begin,
                               .b = d + (panel * chunk_tiles + tiles.begin) * nr},
                              {.rows = to, .columns = nr, .accumulate = accumulate || i > 0});
        }
      }
    }
  }
}

// dw of rows [rows) of a block's channels.
void finish(const Problem& p, const Plan& plan, const Block& block, Range rows, const float* s,
            float* dw) {
  for (int64_t c = rows.begin; c < rows.end; ++c) {
    float* taps[9];
    for (int64_t tap = 0; tap < 9; ++tap) {
      taps[tap] = dw + (tap * p.channels + block.channels.begin + c) * p.outputs + block.column;
    }
    winograd_kernels(p.tiles.m).weights_gradient(s + c * plan.s_row, plan.s_stride, block.columns,
                                                 taps);
  }
}

// The whole pass for up to kFewTiles tiles.
void few_tiles(const Problem& p, float* dw, float* dbias) {
  const WinogradKernels& kernels = winograd_kernels(p.tiles.m);
  const int64_t nr = gemm_kernels().nr, m = p.tiles.m, panels = ceil_div(p.outputs, nr);
  const Blocks blocks(p.channels, kernels.block);
  const InputLayout layout(p.tiles, blocks, p.tiles.count);
  const int64_t d_stride = p.tiles.count * nr, d_size = p.tiles.positions() * d_stride;
  const int64_t zero_count = std::max(p.channels, panels * nr);
  Scratch zeros_memory(zero_count * 4), v_memory(layout.floats * 4);
  Scratch d_memory(panels * d_size * 4), sums_memory(panels * nr * 4);
  float *zeros = zeros_memory.as<float>(), *v = v_memory.as<float>();
  float *d = d_memory.as<float>(), *sums = sums_memory.as<float>();
  std::fill_n(zeros, zero_count, 0.0f);
  std::fill_n(sums, panels * nr, 0.0f);
  const int64_t parts = std::min(blocks.count, 4 * int64_t{num_threads()});
  for_each_task(parts + panels, [&](int64_t task) {
    if (task < parts) {
      const Range some = piece(blocks.count, parts, task);
      transform_input(p.tiles, {0, p.tiles.count}, p.x, layout, some, zeros,
                      v + some.begin * layout.block_floats);
      return;
    }
    const int64_t panel = task - parts, column = panel * nr;
    for (int64_t t = 0; t < p.tiles.count; ++t) {
      const float* pixels[kMaxPositions];
      p.tiles.pixels<const float>(t, m, 0, p.dy + column, p.outputs, zeros, pixels);
      kernels.output_gradient(pixels, std::min(nr, p.outputs - column), d + panel * d_size + t * nr,
                              d_stride, 0, sums + column);
    }
  });
  if (dbias) std::copy_n(sums, p.outputs, dbias);

  const int64_t groups = ceil_div(panels, kGroupPanels);
  for_each_task(groups * blocks.count, [&](int64_t task) {
    const Range range = piece(panels, groups, task / blocks.count);
    const int64_t b = task % blocks.count, width = range.size() * nr;
    const Range channels = blocks.channels({b, b + 1});
    // dw of the task, [tap][block][width]: its rows then go to memory whole.
    Scratch taps_memory(9 * blocks.size * width * 4), s_memory(kernels.gradient_size * 4);
    float *taps = taps_memory.as<float>(), *s = s_memory.as<float>();
    for (int64_t panel = range.begin; panel < range.end; ++panel) {
      kernels.multiply_gradient(p.tiles.count, v + b * layout.block_floats, layout.stride,
                                d + panel * d_size, d_stride, s);
      kernels.block_gradient(s, channels.size(), taps + (panel - range.begin) * nr,
                             blocks.size * width, width);
    }
    const int64_t column = range.begin * nr, columns = std::min(width, p.outputs - column);
    for (int64_t tap = 0; tap < 9; ++tap) {
      for (int64_t c = channels.begin; c < channels.end; ++c) {
        std::copy_n(taps + (tap * blocks.size + c - channels.begin) * width, columns,
                    dw + (tap * p.channels + c) * p.outputs + column);
      }
    }
  });
}

}  // namespace

void conv_winograd_backward_weights(int64_t m, const ConvShape& shape,
                                    const SplitMap<const float>& x, const float* dy, float* dw,
                                    float* dbias) {
  const GemmKernels& kernels = gemm_kernels();
  const Problem p = {.tiles = Tiles(m, shape.batch, shape.height, shape.width),
                     .x = x,
                     .dy = dy,
                     .channels = shape.channels,
                     .outputs = shape.outputs};
  if (p.tiles.count <= 0 || p.channels <= 0 || p.outputs <= 0) {
    std::fill_n(dw, 9 * p.channels * p.outputs, 0.0f);
    if (dbias) std::fill_n(dbias, p.outputs, 0.0f);
    return;
  }
  if (p.tiles.count <= kFewTiles) return few_tiles(p, dw, dbias);
  const Plan plan = make_plan(p, kernels);
  const int64_t padded = plan.panels * kernels.nr;
  Scratch v_memory(plan.positions * plan.v_stride * 4),
      d_memory(plan.positions * plan.d_stride * 4);
  Scratch s_memory(plan.s_in_memory() ? plan.blocks() * plan.s_size() * 4 : 0);
  Scratch zeros_memory(std::max(p.channels, padded) * 4);
  Scratch sums_memory(plan.chunks * kTransformTasks * padded * 4);
  const Transformed transformed = {v_memory.as<float>(), d_memory.as<float>()};
  float *zeros = zeros_memory.as<float>(), *sums = sums_memory.as<float>();
  std::fill_n(zeros, std::max(p.channels, padded), 0.0f);
  std::fill_n(sums, plan.chunks * kTransformTasks * padded, 0.0f);

  for (int64_t chunk = 0; chunk < plan.chunks; ++chunk) {
    const Range tiles = piece(p.tiles.count, plan.chunks, chunk);
    for_each_task(kTransformTasks, [&](int64_t task) {
      transform_tiles(p, plan, kernels.nr, tiles.begin, piece(tiles.size(), kTransformTasks, task),
                      tiles.size(), zeros, transformed,
                      dbias ? sums + (chunk * kTransformTasks + task) * padded : nullptr);
    });
    for_each_task(plan.blocks() * plan.position_tasks, [&](int64_t task) {
      const int64_t index = task / plan.position_tasks;
      const Block block(p, plan, kernels.nr, index);
      const Range positions =
          piece(plan.positions, plan.position_tasks, task % plan.position_tasks);
      Scratch own_memory(plan.s_in_memory() ? 0 : plan.s_size() * 4);
      float* s = plan.s_in_memory() ? s_memory.as<float>() + index * plan.s_size()
                                    : own_memory.as<float>();
      multiply(plan, kernels, block, positions, tiles.size(), transformed, chunk > 0, s);
      if (!plan.s_in_memory()) finish(p, plan, block, {0, block.channels.size()}, s, dw);
    });
  }
  if (plan.s_in_memory()) {
    // Piece by piece of the channels, so that every thread has some.
    constexpr int64_t kPieces = kBlockChannels / 8;
    for_each_task(plan.blocks() * kPieces, [&](int64_t task) {
      const int64_t index = task / kPieces;
      const Block block(p, plan, kernels.nr, index);
      finish(p, plan, block, piece(block.channels.size(), kPieces, task % kPieces),
             s_memory.as<float>() + index * plan.s_size(), dw);
    });
  }
  if (dbias) {
    for (int64_t k = 0; k < p.outputs; ++k) {
      float total = 0;
      for (int64_t i = 0; i < plan.chunks * kTransformTasks; ++i) total += sums[i * padded + k];
      dbias[k] = total;
    }
  }
}

}  // namespace ddpm::cpu
