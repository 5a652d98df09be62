// Winograd's convolution where a layer has few tiles and many channels: small maps, small batches.
// There the transforms of weights, and of their gradient, take longer than the products, and what
// they write four times as large as the weights would travel through the second-level cache and
// back. So both happen next to the products, in the first-level cache: U is made for one block of
// channels (8 with AVX2) and one panel of nr outputs, [position][block][nr], multiplied with V of
// the block for all tiles and positions, and forgotten; S, the gradient of U, likewise.
//
// V lies block after block of channels, [block][position][tile][channel of the block], each
// position one tile longer than it needs to be, since transforms write whole vectors.
//
// Tasks take a few neighbouring panels: a row of weights for one panel is a cache line, and lines
// come faster from memory when their neighbours are wanted as well. Additions are grouped by blocks
// of channels (weight gradients: by nothing but the tiles), whatever the tasks.
#include <algorithm>
#include <vector>

#include "ddpm/base/threads.h"
#include "ddpm/kernels/cpu/gemm_kernels.h"
#include "ddpm/kernels/cpu/position_products.h"
#include "ddpm/kernels/cpu/winograd_kernels.h"
#include "ddpm/kernels/cpu/winograd_pass.h"

namespace ddpm::cpu {
namespace {

constexpr int64_t kTaskPanels = 4;   // at most
constexpr int64_t kChunkBlocks = 4;  // of channels, that all panels of a task pass over in turn

// V of all tiles.
struct BlockedInput {
  BlockedInput(const Tiles& tiles, int64_t map_channels)
      : block(position_products().block),
        blocks(ceil_div(map_channels, block)),
        channels(map_channels),
        stride((tiles.count + 1) * block),
        size(tiles.positions() * stride),
        memory(blocks * size * 4) {}
  float* at(int64_t b) { return memory.as<float>() + b * size; }
  Range channels_of(int64_t b) const { return {b * block, std::min(channels, (b + 1) * block)}; }

  int64_t block, blocks, channels;
  int64_t stride;  // between positions
  int64_t size;    // of a block
  Scratch memory;
};

// zeros: p.channels of them.
void transform_input(const Tiles& tiles, const SplitMap<const float>& x, const float* zeros,
                     Range blocks, BlockedInput& to) {
  const WinogradKernels& transforms = winograd_kernels(tiles.m);
  const Range all = {to.channels_of(blocks.begin).begin, to.channels_of(blocks.end - 1).end};
  if (all.size() % to.block != 0) std::fill_n(to.at(blocks.end - 1), to.size, 0.0f);
  for (int64_t t = 0; t < tiles.count; ++t) {
    x.for_each_part(
        all.begin, all.end, to.channels,
        [&](const float* map, int64_t width, int64_t at, int64_t channel, int64_t count) {
          const float *pixels[kMaxPositions], *shifted[kMaxPositions];
          tiles.pixels(t, tiles.m + 2, 1, map + at, width, zeros, pixels);
          for (int64_t c = channel; c < channel + count;) {
            const int64_t b = c / to.block, first = c - b * to.block;
            const int64_t size = std::min(channel + count - c, to.block - first);
            for (int64_t i = 0; i < tiles.positions(); ++i) shifted[i] = pixels[i] + (c - channel);
            transforms.input(shifted, size, to.at(b) + t * to.block + first, to.stride);
            c += size;
          }
        });
  }
}

void transform_input(const Tiles& tiles, const SplitMap<const float>& x, const float* zeros,
                     BlockedInput& to) {
  const int64_t tasks = std::min(to.blocks, 4 * int64_t{num_threads()});
  for_each_task(tasks, [&](int64_t task) {
    transform_input(tiles, x, zeros, piece(to.blocks, tasks, task), to);
  });
}

int64_t panel_tasks(int64_t panels) {
  return std::clamp(4 * int64_t{num_threads()}, ceil_div(panels, kTaskPanels), panels);
}

// The weights of one panel and some channels side by side, as they will be used: taps[tap][c][nr].
void stage_weights(const WinogradPass& p, int64_t panel, Range channels, float* taps) {
  const GemmKernels& kernels = gemm_kernels();
  const int64_t column = panel * kernels.nr, columns = std::min(kernels.nr, p.outputs - column);
  for (int64_t tap = 0; tap < 9; ++tap, taps += channels.size() * kernels.nr) {
    if (p.backward) {
      kernels.pack_transposed(
          p.weights.w + ((8 - tap) * p.outputs + column) * p.channels + channels.begin, p.channels,
          channels.size(), columns, taps);
    } else {
      kernels.pack(p.weights.w + (tap * p.channels + channels.begin) * p.outputs + column,
                   p.outputs, channels.size(), columns, taps, nullptr);
    }
  }
}

void run(const WinogradPass& p) {
  if (p.tiles.count <= 0 || p.outputs <= 0) return;
  const PositionProducts& products = position_products();
  const WinogradKernels& transforms = winograd_kernels(p.tiles.m);
  const int64_t positions = p.tiles.positions(), nr = gemm_kernels().nr;
  Scratch zeros(p.channels * 4);
  std::fill_n(zeros.as<float>(), p.channels, 0.0f);
  BlockedInput v(p.tiles, p.channels);
  transform_input(p.tiles, p.x, zeros.as<float>(), v);
  const int64_t u_size = positions * products.block_stride;
  const int64_t sums_size = positions * p.tiles.count * nr;
  const int64_t panels = ceil_div(p.outputs, nr), tasks = panel_tasks(panels);
  // By channel and by output, as far as panels and blocks go.
  const WinogradWeights& w = p.weights;
  std::vector<float> mean(w.mean && !p.backward ? panels * nr : 0), rstd(mean.size());
  if (w.mean && !p.backward) {
    std::copy_n(w.mean, p.outputs, mean.data());
    std::copy_n(w.rstd, p.outputs, rstd.data());
  }
  const auto scaling_of = [&](int64_t panel, int64_t channel) -> WeightScaling {
    if (!w.mean) return {};
    if (p.backward) return {w.mean + channel, w.rstd + channel, true};
    return {mean.data() + panel * nr, rstd.data() + panel * nr};
  };
  for_each_task(tasks, [&](int64_t task) {
    const Range range = piece(panels, tasks, task);
    Scratch u_memory(u_size * 4), sums_memory(range.size() * sums_size * 4);
    Scratch taps_memory(9 * kChunkBlocks * v.block * nr * 4);
    float *u = u_memory.as<float>(), *taps = taps_memory.as<float>();
    float* sums = sums_memory.as<float>();
    for (int64_t first = 0; first < v.blocks; first += kChunkBlocks) {
      const int64_t last = std::min(v.blocks, first + kChunkBlocks);
      const Range chunk = {v.channels_of(first).begin, v.channels_of(last - 1).end};
      for (int64_t panel = range.begin; panel < range.end; ++panel) {
        stage_weights(p, panel, chunk, taps);
        for (int64_t b = first; b < last; ++b) {
          const Range channels = v.channels_of(b);
          if (channels.size() < v.block) std::fill_n(u, u_size, 0.0f);
          transforms.block_weights(taps + (channels.begin - chunk.begin) * nr, chunk.size() * nr,
                                   channels.size(), scaling_of(panel, channels.begin), u);
          products.rows(positions, p.tiles.count, v.at(b), v.stride, u, b > 0,
                        sums + (panel - range.begin) * sums_size);
        }
      }
    }
    for (int64_t panel = range.begin; panel < range.end; ++panel) {
      const Range columns = {panel * nr, std::min(p.outputs, (panel + 1) * nr)};
      for (int64_t t = 0; t < p.tiles.count; ++t) {
        transform_output(p, t, columns, sums + (panel - range.begin) * sums_size + t * nr,
                         p.tiles.count * nr);
      }
    }
  });
}

}  // namespace

void conv_winograd_few_tiles(int64_t m, const ConvShape& s, const SplitMap<const float>& x,
                             const WinogradWeights& weights, const float* bias, float* y) {
  run(winograd_forward(m, s, x, weights, bias, y));
}

void conv_winograd_few_tiles_backward_data(int64_t m, const ConvShape& s, const float* dy,
                                           const WinogradWeights& weights,
                                           const SplitMap<float>& dx) {
  run(winograd_backward_data(m, s, dy, weights, dx));
}

void conv_winograd_few_tiles_backward_weights(int64_t m, const ConvShape& s,
                                              const SplitMap<const float>& x, const float* dy,
                                              float* dw, float* dbias) {
  const Tiles tiles(m, s.batch, s.height, s.width);
  if (tiles.count <= 0 || s.channels <= 0 || s.outputs <= 0) {
    std::fill_n(dw, 9 * s.channels * s.outputs, 0.0f);
    if (dbias) std::fill_n(dbias, s.outputs, 0.0f);
    return;
  }
  const PositionProducts& products = position_products();
  const WinogradKernels& transforms = winograd_kernels(m);
  const int64_t positions = tiles.positions(), nr = gemm_kernels().nr;
  const int64_t panels = ceil_div(s.outputs, nr), d_size = positions * tiles.count * nr;
  Scratch zeros(std::max(s.channels, panels * nr) * 4);
  std::fill_n(zeros.as<float>(), std::max(s.channels, panels * nr), 0.0f);
  BlockedInput v(tiles, s.channels);
  transform_input(tiles, x, zeros.as<float>(), v);
  // D [panel][position][tile][nr].
  Scratch d_memory(panels * d_size * 4), sums_memory(panels * nr * 4);
  float *d = d_memory.as<float>(), *sums = sums_memory.as<float>();
  std::fill_n(sums, panels * nr, 0.0f);
  for_each_task(panels, [&](int64_t panel) {
    const int64_t column = panel * nr, columns = std::min(nr, s.outputs - column);
    for (int64_t t = 0; t < tiles.count; ++t) {
      const float* pixels[kMaxPositions];
      tiles.pixels(t, m, 0, dy + column, s.outputs, zeros.as<const float>(), pixels);
      transforms.output_gradient(pixels, columns, d + panel * d_size + t * nr, tiles.count * nr, 0,
                                 sums + column);
    }
  });
  if (dbias) std::copy_n(sums, s.outputs, dbias);

  const int64_t groups = ceil_div(panels, kTaskPanels);
  for_each_task(groups * v.blocks, [&](int64_t task) {
    const Range range = piece(panels, groups, task / v.blocks);
    const int64_t b = task % v.blocks;
    const Range channels = v.channels_of(b);
    const int64_t width = range.size() * nr;
    Scratch s_memory(positions * products.block_stride * 4), taps_memory(9 * v.block * width * 4);
    float* taps = taps_memory.as<float>();  // dw of the task [9][block][width]
    for (int64_t panel = range.begin; panel < range.end; ++panel) {
      products.columns(positions, tiles.count, v.at(b), v.stride, d + panel * d_size,
                       s_memory.as<float>());
      transforms.block_gradient(s_memory.as<float>(), channels.size(),
                                taps + (panel - range.begin) * nr, v.block * width, width);
    }
    const int64_t column = range.begin * nr, columns = std::min(width, s.outputs - column);
    for (int64_t tap = 0; tap < 9; ++tap) {
      for (int64_t c = channels.begin; c < channels.end; ++c) {
        std::copy_n(taps + (tap * v.block + c - channels.begin) * width, columns,
                    dw + (tap * s.channels + c) * s.outputs + column);
      }
    }
  });
}

}  // namespace ddpm::cpu
