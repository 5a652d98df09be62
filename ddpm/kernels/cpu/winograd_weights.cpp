// Backward-weights Winograd convolution: dw = G^T [sum over tiles of (B^T x B) * (A dy A^T)] G.
// With V the transformed tiles of x and D those of dy, the sum is a transposed product per
// position, S[position][c][k] = sum over tiles t of V[position][t][c] D[position][t][k], for which
// both transforms deliver the rows that the micro-kernel wants.
//
// A task is a block of input channels x a block of output channels x a chunk of the tiles. It keeps
// its S, transforms some tiles of x and dy at a time into the second-level cache and adds their
// products. Where one chunk does, the task ends with G^T S G into dw and S never leaves it. Layers
// with few channel blocks are cut into several chunks, whose S are added in order; their number
// depends on the problem only, so results do not depend on the threads.
#include <algorithm>

#include "ddpm/kernels/cpu/gemm_kernels.h"
#include "ddpm/kernels/cpu/winograd.h"
#include "ddpm/kernels/cpu/winograd_kernels.h"
#include "ddpm/kernels/cpu/winograd_tiles.h"

namespace ddpm::cpu {
namespace {

constexpr int64_t kBlockChannels = 64;       // of x and of dy per task
constexpr int64_t kBlockFloats = 384 << 10;  // V and D of a task: deep sums beat a small footprint
constexpr int64_t kWantedTasks = 8;
constexpr int64_t kChunkTiles = 96;  // at least, so that adding up chunks stays cheap

struct Problem {
  Tiles tiles;
  SplitMap<const float> x;
  const float* dy;
  int64_t channels, outputs;
};

struct Plan {
  int64_t panels, channel_blocks, panel_blocks, chunks;
  int64_t s_row, s_stride;  // S[position * s_stride + c * s_row + k] of one task
  int64_t s_size() const { return s_stride * kMaxPositions; }
};

Plan make_plan(const Problem& p, const GemmKernels& kernels) {
  Plan plan;
  plan.panels = ceil_div(p.outputs, kernels.nr);
  plan.channel_blocks = ceil_div(p.channels, kBlockChannels);
  plan.panel_blocks = ceil_div(plan.panels * kernels.nr, kBlockChannels);
  plan.chunks = std::clamp<int64_t>(kWantedTasks / (plan.channel_blocks * plan.panel_blocks), 1,
                                    std::max<int64_t>(1, p.tiles.count / kChunkTiles));
  plan.s_row = ceil_div(plan.panels, plan.panel_blocks) * kernels.nr;
  plan.s_stride = position_stride(ceil_div(p.channels, plan.channel_blocks) * plan.s_row);
  return plan;
}

// S over tiles [tiles) for channels [channels) and panels [panels); the task's share of dbias to
// sums[k], where not null.
void sum_tiles(const Problem& p, const GemmKernels& kernels, const Plan& plan, Range tiles,
               Range channels, Range panels, const float* zeros, float* s, float* sums) {
  const WinogradKernels& transforms = winograd_kernels(p.tiles.m);
  const int64_t positions = p.tiles.positions(), m = p.tiles.m, nr = kernels.nr;
  const int64_t column = panels.begin * nr;
  const int64_t columns = std::min(p.outputs - column, panels.size() * nr);
  const int64_t v_row = ceil_div(channels.size(), 16) * 16, d_row = panels.size() * nr;
  const int64_t fit = kBlockFloats / (positions * (v_row + d_row));
  const int64_t blocks = ceil_div(tiles.size(), std::clamp<int64_t>(fit, 16, kMaxDepth));
  const int64_t most = ceil_div(tiles.size(), blocks);
  const int64_t v_stride = position_stride(most * v_row), d_stride = position_stride(most * d_row);
  const int64_t groups = ceil_div(channels.size(), kernels.mr);
  Scratch v_memory(positions * v_stride * 4), d_memory(positions * d_stride * 4);
  float *v = v_memory.as<float>(), *d = d_memory.as<float>();
  for (int64_t block = 0; block < blocks; ++block) {
    const Range range = piece(tiles.size(), blocks, block);
    for (int64_t t = 0; t < range.size(); ++t) {
      const float* pixels[kMaxPositions];
      const int64_t tile = tiles.begin + range.begin + t;
      p.x.for_each_part(
          channels.begin, channels.end, p.channels,
          [&](const float* x, int64_t width, int64_t at, int64_t first, int64_t count) {
            p.tiles.pixels(tile, m + 2, 1, x + at, width, zeros, pixels);
            transforms.input(pixels, count, v + t * v_row + first - channels.begin, v_stride);
          });
      p.tiles.pixels(tile, m, 0, p.dy + column, p.outputs, zeros, pixels);
      transforms.output_gradient(pixels, columns, d + t * nr, d_stride, most * nr, sums);
    }
    for (int64_t position = 0; position < positions; ++position) {
      const float* left[kMaxDepth];
      for (int64_t t = 0; t < range.size(); ++t) left[t] = v + position * v_stride + t * v_row;
      for (int64_t panel = 0; panel < panels.size(); ++panel) {
        for (int64_t group = 0; group < groups; ++group) {
          const Range rows = piece(channels.size(), groups, group);
          float* to[kMaxTileRows];
          for (int64_t r = 0; r < rows.size(); ++r) {
            to[r] = s + position * plan.s_stride + (rows.begin + r) * plan.s_row + panel * nr;
          }
          kernels.column_tile(rows.size(),
                              {.left = left,
                               .depth = range.size(),
                               .offset = rows.begin,
                               .b = d + position * d_stride + panel * most * nr},
                              {.rows = to, .columns = nr, .accumulate = block > 0});
        }
      }
    }
  }
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
  const Plan plan = make_plan(p, kernels);
  const int64_t channel_blocks = plan.channel_blocks, panel_blocks = plan.panel_blocks;
  const int64_t blocks = channel_blocks * panel_blocks, padded = plan.panels * kernels.nr;
  Scratch zeros_memory(std::max(p.channels, padded) * 4), sums_memory(plan.chunks * padded * 4);
  Scratch s_memory(plan.chunks > 1 ? blocks * plan.chunks * plan.s_size() * 4 : 0);
  float *zeros = zeros_memory.as<float>(), *sums = sums_memory.as<float>();
  std::fill_n(zeros, std::max(p.channels, padded), 0.0f);
  std::fill_n(sums, plan.chunks * padded, 0.0f);

  // dw of channels [channels) and panels [panels) from their S.
  const auto finish = [&](const float* s, Range channels, Range panels) {
    const int64_t column = panels.begin * kernels.nr;
    const int64_t columns = std::min(p.outputs - column, panels.size() * kernels.nr);
    for (int64_t c = 0; c < channels.size(); ++c) {
      float* taps[9];
      for (int64_t tap = 0; tap < 9; ++tap) {
        taps[tap] = dw + (tap * p.channels + channels.begin + c) * p.outputs + column;
      }
      winograd_kernels(m).weights_gradient(s + c * plan.s_row, plan.s_stride, columns, taps);
    }
  };
  for_each_task(blocks * plan.chunks, [&](int64_t task) {
    const int64_t chunk = task % plan.chunks, block = task / plan.chunks;
    const Range channels = piece(p.channels, channel_blocks, block % channel_blocks);
    const Range panels = piece(plan.panels, panel_blocks, block / channel_blocks);
    const bool add_bias = dbias && block % channel_blocks == 0;
    Scratch own_memory(plan.chunks > 1 ? 0 : plan.s_size() * 4);
    float* s =
        plan.chunks > 1 ? s_memory.as<float>() + task * plan.s_size() : own_memory.as<float>();
    sum_tiles(p, kernels, plan, piece(p.tiles.count, plan.chunks, chunk), channels, panels, zeros,
              s, add_bias ? sums + chunk * padded + panels.begin * kernels.nr : nullptr);
    if (plan.chunks == 1) finish(s, channels, panels);
  });
  if (plan.chunks > 1) {
    // Piece by piece of the channels, so that every thread has some.
    constexpr int64_t kRows = 8;
    const int64_t pieces = ceil_div(ceil_div(p.channels, channel_blocks), kRows);
    for_each_task(blocks * pieces, [&](int64_t task) {
      const int64_t block = task / pieces;
      const Range panels = piece(plan.panels, panel_blocks, block / channel_blocks);
      const Range all = piece(p.channels, channel_blocks, block % channel_blocks);
      const Range part = piece(all.size(), pieces, task % pieces);
      float* s = s_memory.as<float>() + block * plan.chunks * plan.s_size();
      for (int64_t chunk = 1; chunk < plan.chunks; ++chunk) {
        for (int64_t position = 0; position < p.tiles.positions(); ++position) {
          float* to = s + position * plan.s_stride;
          const float* from = to + chunk * plan.s_size();
          for (int64_t i = part.begin * plan.s_row; i < part.end * plan.s_row; ++i)
            to[i] += from[i];
        }
      }
      finish(s + part.begin * plan.s_row, {all.begin + part.begin, all.begin + part.end}, panels);
    });
  }
  if (dbias) {
    for (int64_t k = 0; k < p.outputs; ++k) {
      float total = sums[k];
      for (int64_t chunk = 1; chunk < plan.chunks; ++chunk) total += sums[chunk * padded + k];
      dbias[k] = total;
    }
  }
}

}  // namespace ddpm::cpu
