// Forward and backward-data Winograd convolution.
//
// A task is a block of tiles x a range of output channels: it transforms its input tiles into V
// [position][tile][channel] (where several tasks need the same tiles, that is done before), then
// for some panels of nr output channels at a time multiplies every position, sums
// [position][tile][k] += V[position] U[position], and transforms the sums into y. Tiles are blocked
// so that V and the sums stay in the second-level cache between those steps; at each position the
// rows of V stay in the first-level cache while the panels pass. The transformed weights U
// [position][channel][nr] of a panel are used once per block of tiles: with several blocks they are
// made once, before; with a single block each task makes them where it needs them, in cache, so
// that four times the weights never travel to memory.
//
// The reduction over channels is cut into blocks of kDepth, by the layer alone, for precision: each
// is a chain of additions of its own. So bits depend on neither threads, nor blocking, nor batch.
#include "ddpm/kernels/cpu/winograd.h"

#include <algorithm>

#include "ddpm/base/threads.h"
#include "ddpm/kernels/cpu/gemm_kernels.h"
#include "ddpm/kernels/cpu/winograd_kernels.h"
#include "ddpm/kernels/cpu/winograd_pass.h"

namespace ddpm::cpu {

void transform_weights(const WinogradPass& p, int64_t panel, Range channels, float* turned,
                       float* u, int64_t stride) {
  const GemmKernels& kernels = gemm_kernels();
  const int64_t column = panel * kernels.nr;
  const int64_t columns = std::min(kernels.nr, p.outputs - column);
  const WinogradKernels& transforms = winograd_kernels(p.tiles.m);
  const WinogradWeights& w = p.weights;
  const float* taps[9];
  if (!p.backward) {
    for (int64_t tap = 0; tap < 9; ++tap) {
      taps[tap] = w.w + (tap * p.channels + channels.begin) * p.outputs + column;
    }
    const WeightScaling scaling = {w.mean ? w.mean + column : nullptr,
                                   w.mean ? w.rstd + column : nullptr};
    transforms.weights(taps, p.outputs, channels.size(), columns, scaling, u, stride, kernels.nr);
    return;
  }
  const int64_t size = channels.size() * kernels.nr;
  for (int64_t tap = 0; tap < 9; ++tap) {
    const float* from = w.w + ((8 - tap) * p.outputs + column) * p.channels + channels.begin;
    kernels.pack_transposed(from, p.channels, channels.size(), columns, turned + tap * size);
    taps[tap] = turned + tap * size;
  }
  const WeightScaling scaling = {w.mean ? w.mean + channels.begin : nullptr,
                                 w.mean ? w.rstd + channels.begin : nullptr, true};
  transforms.weights(taps, kernels.nr, channels.size(), kernels.nr, scaling, u, stride, kernels.nr);
}

void transform_output(const WinogradPass& p, int64_t t, Range columns, const float* sums,
                      int64_t stride) {
  const int64_t m = p.tiles.m;
  p.y.for_each_part(columns.begin, columns.end, p.outputs,
                    [&](float* y, int64_t width, int64_t at, int64_t k, int64_t count) {
                      float* pixels[kMaxPositions];
                      p.tiles.pixels<float>(t, m, 0, y, width, nullptr, pixels);
                      for (int64_t i = 0; i < m * m; ++i) {
                        if (pixels[i]) pixels[i] += at;
                      }
                      winograd_kernels(m).output(sums + k - columns.begin, stride, count,
                                                 p.bias ? p.bias + k : nullptr, pixels);
                    });
}

WinogradPass winograd_forward(int64_t m, const ConvShape& s, const SplitMap<const float>& x,
                              const WinogradWeights& weights, const float* bias, float* y) {
  return {.tiles = Tiles(m, s.batch, s.height, s.width),
          .x = x,
          .channels = s.channels,
          .weights = weights,
          .backward = false,
          .outputs = s.outputs,
          .bias = bias,
          .y = {y, s.outputs}};
}

WinogradPass winograd_backward_data(int64_t m, const ConvShape& s, const float* dy,
                                    const WinogradWeights& weights, const SplitMap<float>& dx) {
  return {.tiles = Tiles(m, s.batch, s.height, s.width),
          .x = {dy, s.outputs},
          .channels = s.outputs,
          .weights = weights,
          .backward = true,
          .outputs = s.channels,
          .bias = nullptr,
          .y = dx};
}

namespace {

constexpr int64_t kDepth = 128;
constexpr int64_t kBlockFloats = 112 << 10;  // V and sums of a task: 448 KiB
constexpr int64_t kMinBlockTiles = 24;       // fewer rows would wait for the weights to arrive
constexpr int64_t kOneBlockTiles = 64;       // up to here, making the weights anew decides
constexpr int64_t kPanelBatch = 4;           // panels between two output transforms

// Between positions of one panel of transformed weights that are made for all channels at once.
int64_t panel_stride(const GemmKernels& kernels, int64_t channels) {
  return position_stride(channels * kernels.nr);
}

// All transformed weights: [panel][position][channel][nr].
void transform_all_weights(const WinogradPass& p, const GemmKernels& kernels, float* all) {
  const int64_t stride = panel_stride(kernels, p.channels), parts = ceil_div(p.channels, kDepth);
  for_each_task(ceil_div(p.outputs, kernels.nr) * parts, [&](int64_t task) {
    const int64_t panel = task / parts;
    const Range channels = piece(p.channels, parts, task % parts);
    Scratch turned(p.backward ? 9 * channels.size() * kernels.nr * 4 : 0);
    transform_weights(p, panel, channels, turned.as<float>(),
                      all + panel * p.tiles.positions() * stride + channels.begin * kernels.nr,
                      stride);
  });
}

struct Plan {
  int64_t reduction_blocks;
  int64_t tile_blocks, panels, panel_tasks;
  int64_t u_stride;  // between positions of one panel's transformed weights
  bool ahead;        // all transformed weights are made first
};

Plan make_plan(const WinogradPass& p, const GemmKernels& kernels, bool prepared) {
  Plan plan;
  plan.reduction_blocks = ceil_div(p.channels, kDepth);
  plan.panels = ceil_div(p.outputs, kernels.nr);
  const int64_t batch = std::min(plan.panels, kPanelBatch) * kernels.nr;
  const int64_t fit = kBlockFloats / (p.tiles.positions() * (p.channels + batch));
  const int64_t block = std::max(kMinBlockTiles, fit / kernels.mr * kernels.mr);
  plan.tile_blocks = p.tiles.count <= kOneBlockTiles ? 1 : ceil_div(p.tiles.count, block);
  // Enough tasks for all threads; the range of channels is cut last, since V is made anew for each.
  const int64_t wanted = num_threads() == 1 ? 1 : 2 * num_threads();
  if (plan.tile_blocks > 1 && plan.tile_blocks < wanted) {
    const int64_t least = std::max<int64_t>(1, p.tiles.count / (2 * kernels.mr));
    plan.tile_blocks = std::max(plan.tile_blocks, std::min(wanted, least));
  }
  plan.panel_tasks = std::min(plan.panels, ceil_div(wanted, plan.tile_blocks));
  plan.ahead = prepared || plan.tile_blocks > 1;
  plan.u_stride = panel_stride(kernels, plan.ahead ? p.channels : std::min(p.channels, kDepth));
  return plan;
}

// Transformed tiles of x: V[position * stride + (t - first tile) * row + c].
struct InputTiles {
  InputTiles(const WinogradPass& p, int64_t tiles)
      : row(ceil_div(p.channels, 16) * 16), stride(position_stride(tiles * row)) {}
  InputTiles from_tile(int64_t t) const {
    InputTiles tiles = *this;
    tiles.v += t * row;
    return tiles;
  }
  int64_t row, stride;
  float* v = nullptr;
};

void transform_input(const WinogradPass& p, Range tiles, const float* zeros, const InputTiles& to) {
  const WinogradKernels& transforms = winograd_kernels(p.tiles.m);
  for (int64_t t = 0; t < tiles.size(); ++t) {
    p.x.for_each_part(0, p.channels, p.channels,
                      [&](const float* x, int64_t width, int64_t, int64_t first, int64_t count) {
                        const float* pixels[kMaxPositions];
                        p.tiles.pixels(tiles.begin + t, p.tiles.m + 2, 1, x, width, zeros, pixels);
                        transforms.input(pixels, count, to.v + t * to.row + first, to.stride);
                      });
  }
}

// all: the transformed weights of every panel, [panel][position][channel][nr], or null. shared: the
// transformed input of all tiles, where several tasks need it.
void winograd_task(const WinogradPass& p, const GemmKernels& kernels, const Plan& plan, Range tiles,
                   Range panels, const float* zeros, const float* all, const InputTiles& shared) {
  const int64_t positions = p.tiles.positions(), nr = kernels.nr;
  const int64_t batch = std::min(panels.size(), plan.ahead ? kPanelBatch : 1), columns = batch * nr;
  const int64_t sums_stride = position_stride(tiles.size() * columns);
  InputTiles input(p, tiles.size());
  Scratch v_memory(shared.v ? 0 : positions * input.stride * 4);
  Scratch sums_memory(positions * sums_stride * 4);
  Scratch u_memory(plan.ahead ? 0 : positions * plan.u_stride * 4);
  Scratch turned_memory(plan.ahead || !p.backward ? 0 : 9 * kDepth * nr * 4);
  float *sums = sums_memory.as<float>(), *made = u_memory.as<float>();
  if (shared.v) {
    input = shared.from_tile(tiles.begin);
  } else {
    input.v = v_memory.as<float>();
    transform_input(p, tiles, zeros, input);
  }
  // Where the tiles' rows of V and of the sums lie at position 0; other positions are offsets.
  const RowGroups groups = {
      .rows = tiles.size(), .groups = ceil_div(tiles.size(), kernels.mr), .left_step = kernels.mr};
  Scratch left_memory(groups.groups * kernels.mr * static_cast<int64_t>(sizeof(float*)));
  Scratch to_memory(groups.groups * kernels.mr * static_cast<int64_t>(sizeof(float*)));
  const float** left = left_memory.as<const float*>();
  float** to = to_memory.as<float*>();
  int64_t t = 0;
  for (int64_t g = 0; g < groups.groups; ++g) {
    const int64_t rows = groups.rows / groups.groups + (g < groups.rows % groups.groups);
    for (int64_t r = 0; r < rows; ++r, ++t) {
      left[g * kernels.mr + r] = input.v + t * input.row;
      to[g * kernels.mr + r] = sums + t * columns;
    }
  }
  for (int64_t first = panels.begin; first < panels.end; first += batch) {
    const int64_t last = std::min(panels.end, first + batch);
    for (int64_t block = 0; block < plan.reduction_blocks; ++block) {
      const Range depth = piece(p.channels, plan.reduction_blocks, block);
      if (!plan.ahead) {
        transform_weights(p, first, depth, turned_memory.as<float>(), made, plan.u_stride);
      }
      const auto weights_at = [&](int64_t position, int64_t panel) {
        return plan.ahead ? all + (panel * positions + position) * plan.u_stride + depth.begin * nr
                          : made + position * plan.u_stride;
      };
      for (int64_t position = 0; position < positions; ++position) {
        for (int64_t panel = first; panel < last; ++panel) {
          const float* next = panel + 1 < last           ? weights_at(position, panel + 1)
                              : position + 1 < positions ? weights_at(position + 1, first)
                                                         : nullptr;
          kernels.row_tiles(groups,
                            {.left = left,
                             .length = depth.size(),
                             .offset = position * input.stride + depth.begin,
                             .b = weights_at(position, panel),
                             .b_stride = nr,
                             .next = next,
                             .next_step = ceil_div(nr, groups.groups)},
                            {.rows = to,
                             .columns = nr,
                             .accumulate = block > 0,
                             .offset = position * sums_stride + (panel - first) * nr});
        }
      }
    }
    const int64_t column = first * nr;
    for (t = 0; t < tiles.size(); ++t) {
      transform_output(p, tiles.begin + t, {column, std::min(p.outputs, last * nr)},
                       sums + t * columns, sums_stride);
    }
  }
}

void run(const WinogradPass& p, const PreparedWinograd* prepared) {
  if (p.tiles.count <= 0 || p.outputs <= 0) return;
  const GemmKernels& kernels = gemm_kernels();
  const Plan plan = make_plan(p, kernels, prepared != nullptr);
  const bool make = plan.ahead && prepared == nullptr;
  Scratch all_memory(make ? plan.panels * p.tiles.positions() * plan.u_stride * 4 : 0);
  Scratch zeros_memory(p.channels * 4);
  float* zeros = zeros_memory.as<float>();
  std::fill_n(zeros, p.channels, 0.0f);
  if (make) transform_all_weights(p, kernels, all_memory.as<float>());
  const float* all = !plan.ahead ? nullptr : make ? all_memory.as<float>() : prepared->panels();
  InputTiles shared(p, p.tiles.count);
  const bool share = plan.panel_tasks > 1;
  Scratch shared_memory(share ? p.tiles.positions() * shared.stride * 4 : 0);
  if (share) {
    shared.v = shared_memory.as<float>();
    const int64_t pieces = std::min(p.tiles.count, plan.panel_tasks * plan.tile_blocks);
    for_each_task(pieces, [&](int64_t task) {
      const Range tiles = piece(p.tiles.count, pieces, task);
      transform_input(p, tiles, zeros, shared.from_tile(tiles.begin));
    });
  }
  for_each_task(plan.tile_blocks * plan.panel_tasks, [&](int64_t task) {
    winograd_task(p, kernels, plan, piece(p.tiles.count, plan.tile_blocks, task / plan.panel_tasks),
                  piece(plan.panels, plan.panel_tasks, task % plan.panel_tasks), zeros, all,
                  shared);
  });
}

}  // namespace

PreparedWinograd::PreparedWinograd(int64_t m, const ConvShape& s, const WinogradWeights& weights)
    : m_(m), panels_({bytes(m, s) / size_of(DType::kFloat32)}) {
  transform_all_weights(winograd_forward(m, s, {nullptr, s.channels}, weights, nullptr, nullptr),
                        gemm_kernels(), panels_.f32());
}

int64_t PreparedWinograd::bytes(int64_t m, const ConvShape& s) {
  const GemmKernels& kernels = gemm_kernels();
  return ceil_div(s.outputs, kernels.nr) * (m + 2) * (m + 2) * panel_stride(kernels, s.channels) *
         size_of(DType::kFloat32);
}

void conv_winograd(int64_t m, const ConvShape& s, const SplitMap<const float>& x,
                   const WinogradWeights& weights, const float* bias, float* y,
                   const PreparedWinograd* prepared) {
  run(winograd_forward(m, s, x, weights, bias, y), prepared);
}

void conv_winograd_backward_data(int64_t m, const ConvShape& s, const float* dy,
                                 const WinogradWeights& weights, const SplitMap<float>& dx) {
  run(winograd_backward_data(m, s, dy, weights, dx), nullptr);
}

}  // namespace ddpm::cpu
