// Forward and backward-data Winograd convolution; backward-data is the forward pass of dy with the
// kernel turned by half a circle and its channels swapped.
//
// All works on blocks: some tens of tiles, 8 or 16 channels of x and a panel of 16 or 32 outputs
// (AVX2, AVX-512); winograd_kernels.h has their arrays. For a block of tiles the input is
// transformed into V, block after block of channels. Then, panel by panel, the sums of all
// positions collect V[position] U[position] from one slab of channels after the other, and are
// transformed into y. Tiles are blocked so that V stays in the second-level cache while the panels
// pass; U and the sums stream through the first level, which keeps up.
//
// U, four times as large as the weights (F(4)), is used once per block of tiles. With many blocks
// it is made once, before, or was prepared. With few it is made where it is needed: for one slab
// and one panel, used for all tiles while it is in the first or second level, and forgotten. A task
// then takes a few neighbouring panels: a row of weights for one panel is a cache line or two, and
// lines come faster from memory when their neighbours are wanted as well.
//
// Each slab of channels is a chain of additions of its own, whatever the tasks: bits depend on
// neither threads nor batch.
#include "ddpm/kernels/cpu/winograd/winograd.h"

#include <algorithm>
#include <vector>

#include "ddpm/base/threads.h"
#include "ddpm/kernels/cpu/gemm/gemm_kernels.h"
#include "ddpm/kernels/cpu/winograd/winograd_kernels.h"
#include "ddpm/kernels/cpu/winograd/winograd_tiles.h"

namespace ddpm::cpu {
namespace {

constexpr int64_t kFewTiles = 64;           // up to here U is made where it is needed
constexpr int64_t kInputFloats = 56 << 10;  // V of a block of tiles: 224 KiB
constexpr int64_t kLeastTiles = 16;         // of a block, so that fetching U pays
constexpr int64_t kMostTiles = 24;
constexpr int64_t kMostFewTiles = 32;  // where all tasks take the same tiles
constexpr int64_t kPanelBatch = 4;     // panels between two output transforms
// Blocks of channels whose weights are staged at once. Backward, channels lie side by side.
constexpr int64_t kStagedBlocks = 4, kStagedBlocksBackward = 16;

constexpr int kMostParts = 2;  // of a SplitMap

struct Pass {
  Tiles tiles;
  SplitMap<const float> x;
  int64_t channels;
  WinogradWeights weights;
  bool backward;  // weights [3, 3, outputs, channels], to be turned and transposed
  int64_t outputs;
  const float* bias;
  SplitMap<float> y;
};

// U of a panel, slab after slab: up to `size` blocks of channels whose products with V are summed
// before they are written.
struct Slabs {
  Slabs(const WinogradKernels& kernels, const Blocks& channel_blocks)
      : blocks(channel_blocks.count),
        size(kernels.slab),
        count(ceil_div(blocks, size)),
        floats(kernels.u_size(size)),
        panel_floats((count - 1) * floats + kernels.u_size(blocks - (count - 1) * size)) {}
  Range operator[](int64_t i) const { return {i * size, std::min(blocks, (i + 1) * size)}; }

  int64_t blocks, size, count;
  int64_t floats, panel_floats;
};

// Makes U of one panel and slab after the other.
class WeightTransform {
 public:
  WeightTransform(const Pass& pass)
      : pass_(pass), kernels_(winograd_kernels(pass.tiles.m)), nr_(gemm_kernels().nr) {
    const WinogradWeights& w = pass.weights;
    if (!w.mean || pass.backward) return;
    const int64_t padded = ceil_div(pass.outputs, nr_) * nr_;
    mean_.resize(padded), rstd_.resize(padded);
    std::copy_n(w.mean, pass.outputs, mean_.data());
    std::copy_n(w.rstd, pass.outputs, rstd_.data());
  }

  int64_t staged_blocks() const { return pass_.backward ? kStagedBlocksBackward : kStagedBlocks; }
  int64_t staged_floats() const { return 9 * staged_blocks() * kernels_.block * nr_; }

  // The weights of one panel and some channels side by side: taps[tap][c][nr].
  void stage(int64_t panel, Range channels, float* taps) const {
    const GemmKernels& gemm = gemm_kernels();
    const float* w = pass_.weights.w;
    const int64_t column = panel * nr_, columns = std::min(nr_, pass_.outputs - column);
    for (int64_t tap = 0; tap < 9; ++tap, taps += channels.size() * nr_) {
      if (pass_.backward) {
        gemm.pack_transposed(
            w + ((8 - tap) * pass_.outputs + column) * pass_.channels + channels.begin,
            pass_.channels, channels.size(), columns, taps);
      } else {
        gemm.pack(w + (tap * pass_.channels + channels.begin) * pass_.outputs + column,
                  pass_.outputs, channels.size(), columns, taps, nullptr);
      }
    }
  }

  // U of a slab, whose channels are among those staged.
  void transform(int64_t panel, Range staged, Range channels, const float* taps, float* u) const {
    if (channels.size() % kernels_.block != 0) {
      std::fill_n(u, kernels_.u_size(ceil_div(channels.size(), kernels_.block)), 0.0f);
    }
    kernels_.weights(taps + (channels.begin - staged.begin) * nr_, staged.size() * nr_,
                     channels.size(), scaling(panel, channels.begin), u);
  }

 private:
  WeightScaling scaling(int64_t panel, int64_t channel) const {
    const WinogradWeights& w = pass_.weights;
    if (!w.mean) return {};
    if (pass_.backward) return {w.mean + channel, w.rstd + channel, true};
    return {mean_.data() + panel * nr_, rstd_.data() + panel * nr_};
  }

  const Pass& pass_;
  const WinogradKernels& kernels_;
  int64_t nr_;
  std::vector<float> mean_, rstd_;  // by output, as many as the panels have columns
};

// All U [panel][slab].
void transform_all_weights(const Pass& p, float* all) {
  const WinogradKernels& kernels = winograd_kernels(p.tiles.m);
  const WeightTransform weights(p);
  const Blocks blocks(p.channels, kernels.block);
  const Slabs slabs(kernels, blocks);
  const int64_t staged = weights.staged_blocks() / slabs.size;
  const int64_t parts = ceil_div(slabs.count, staged);
  for_each_task(ceil_div(p.outputs, gemm_kernels().nr) * parts, [&](int64_t task) {
    const int64_t panel = task / parts, begin = task % parts * staged;
    const int64_t end = std::min(slabs.count, begin + staged);
    const Range channels = blocks.channels({slabs[begin].begin, slabs[end - 1].end});
    Scratch<> taps(weights.staged_floats());
    weights.stage(panel, channels, taps.data());
    for (int64_t i = begin; i < end; ++i) {
      weights.transform(panel, channels, blocks.channels(slabs[i]), taps.data(),
                        all + panel * slabs.panel_floats + i * slabs.floats);
    }
  });
}

struct Plan {
  int64_t panels;
  int64_t tile_blocks, most_tiles;  // of a block
  int64_t tile_tasks, panel_tasks;  // tasks are their product
  bool ahead;                       // U was made for all panels and channels
  int64_t sums_stride, sums_size;   // of a block of tiles and a panel
};

Plan make_plan(const Pass& p, bool prepared) {
  const int64_t nr = gemm_kernels().nr;
  Plan plan;
  const bool few = p.tiles.count <= kFewTiles;
  plan.ahead = prepared || !few;
  plan.panels = ceil_div(p.outputs, nr);
  // Enough tasks for all threads: blocks of tiles first, since panels share V.
  const int64_t wanted = num_threads() == 1 ? 1 : (plan.ahead ? 2 : 4) * num_threads();
  const int64_t fit =
      std::min(kInputFloats / (p.tiles.positions() * p.channels), ceil_div(p.tiles.count, wanted));
  const int64_t most = few ? kMostFewTiles : std::clamp(fit, kLeastTiles, kMostTiles);
  plan.tile_blocks = ceil_div(p.tiles.count, most);
  if (!few) plan.tile_blocks = std::min(p.tiles.count, even_tasks(plan.tile_blocks));
  plan.most_tiles = ceil_div(p.tiles.count, plan.tile_blocks);
  plan.tile_tasks = few ? 1 : plan.tile_blocks;
  plan.panel_tasks = std::min(plan.panels, ceil_div(wanted, plan.tile_tasks));
  plan.sums_stride = position_stride(plan.most_tiles * nr);
  plan.sums_size = p.tiles.positions() * plan.sums_stride;
  return plan;
}

// Transforms the sums of some panels of one tile.
void transform_output(const Pass& p, const Plan& plan, int64_t t, Range panels, const float* sums) {
  const WinogradKernels& kernels = winograd_kernels(p.tiles.m);
  const int64_t nr = gemm_kernels().nr, m = p.tiles.m;
  p.y.for_each_part(panels.begin * nr, std::min(p.outputs, panels.end * nr), p.outputs,
                    [&](float* y, int64_t width, int64_t at, int64_t first, int64_t count) {
                      float* pixels[kMaxPositions];
                      p.tiles.pixels<float>(t, m, 0, y, width, nullptr, pixels);
                      from_multiples({first, first + count}, nr, [&](int64_t panel, Range columns) {
                        const float* from = sums + (panel - panels.begin) * plan.sums_size;
                        kernels.output(from + columns.begin - panel * nr, plan.sums_stride,
                                       plan.sums_size, columns.size(),
                                       p.bias ? p.bias + columns.begin : nullptr, pixels,
                                       at + columns.begin - first);
                      });
                    });
}

// Blocks of tiles [tile_blocks) x panels [panels). v: V of those tiles [tile block][block of
// channels]. all: U [panel][slab], or null where it is made here.
void multiply(const Pass& p, const Plan& plan, Range tile_blocks, Range panels,
              const InputLayout& layout, const float* v, const WeightTransform& weights,
              const float* all) {
  const WinogradKernels& kernels = winograd_kernels(p.tiles.m);
  const Blocks& blocks = layout.blocks;
  const Slabs slabs(kernels, blocks);
  const int64_t batch = std::min(panels.size(), kPanelBatch);
  Scratch<> sums_memory(tile_blocks.size() * batch * plan.sums_size);
  Scratch<> taps(all ? 0 : weights.staged_floats()), made(all ? 0 : slabs.floats);
  const int64_t staged = all ? slabs.count : weights.staged_blocks() / slabs.size;
  for (int64_t first = panels.begin; first < panels.end; first += batch) {
    const Range now = {first, std::min(panels.end, first + batch)};
    const auto sums_of = [&](int64_t tile_block, int64_t panel) {
      return sums_memory.data() +
             ((tile_block - tile_blocks.begin) * batch + panel - first) * plan.sums_size;
    };
    for (int64_t begin = 0; begin < slabs.count; begin += staged) {
      const int64_t end = std::min(slabs.count, begin + staged);
      const Range channels = blocks.channels({slabs[begin].begin, slabs[end - 1].end});
      for (int64_t panel = now.begin; panel < now.end; ++panel) {
        if (!all) weights.stage(panel, channels, taps.data());
        for (int64_t i = begin; i < end; ++i) {
          const Range slab = slabs[i];
          if (!all) {
            weights.transform(panel, channels, blocks.channels(slab), taps.data(), made.data());
          }
          const float* u = all ? all + panel * slabs.panel_floats + i * slabs.floats : made.data();
          for (int64_t t = tile_blocks.begin; t < tile_blocks.end; ++t) {
            const float* block_v = v + (t - tile_blocks.begin) * layout.floats;
            kernels.multiply(piece(p.tiles.count, plan.tile_blocks, t).size(), slab.size(),
                             block_v + slab.begin * layout.block_floats, layout.stride,
                             layout.block_floats, u, plan.ahead, i > 0, sums_of(t, panel),
                             plan.sums_stride);
          }
        }
      }
    }
    for (int64_t i = tile_blocks.begin; i < tile_blocks.end; ++i) {
      const Range tiles = piece(p.tiles.count, plan.tile_blocks, i);
      for (int64_t t = 0; t < tiles.size(); ++t) {
        transform_output(p, plan, tiles.begin + t, now,
                         sums_of(i, now.begin) + t * gemm_kernels().nr);
      }
    }
  }
}

void run(const Pass& p, const PreparedWinograd* prepared) {
  if (p.tiles.count <= 0 || p.outputs <= 0) return;
  const WinogradKernels& kernels = winograd_kernels(p.tiles.m);
  const Plan plan = make_plan(p, prepared != nullptr);
  const Blocks blocks(p.channels, kernels.block);
  const Slabs slabs(kernels, blocks);
  const bool make = plan.ahead && !prepared;
  Scratch<> all_memory(make ? plan.panels * slabs.panel_floats : 0);
  if (make) transform_all_weights(p, all_memory.data());
  const float* all = prepared ? prepared->panels() : make ? all_memory.data() : nullptr;
  const WeightTransform weights(p);

  Scratch<> zeros_memory(p.channels);
  float* zeros = zeros_memory.data();
  std::fill_n(zeros, p.channels, 0.0f);
  const InputLayout layout(p.tiles, blocks, plan.most_tiles);
  const auto transform = [&](int64_t tile_block, Range some, float* v) {
    transform_input(p.tiles, piece(p.tiles.count, plan.tile_blocks, tile_block), p.x, layout, some,
                    zeros, v);
  };
  // Where several tasks need the same tiles, V is made before.
  const bool share = plan.panel_tasks > 1;
  Scratch<> shared_memory(share ? plan.tile_blocks * layout.floats : 0);
  float* shared = shared_memory.data();
  if (share) {
    const int64_t parts =
        std::min(blocks.count, ceil_div(4 * int64_t{num_threads()}, plan.tile_blocks));
    for_each_task(plan.tile_blocks * parts, [&](int64_t task) {
      const int64_t i = task / parts;
      const Range some = piece(blocks.count, parts, task % parts);
      transform(i, some, shared + i * layout.floats + some.begin * layout.block_floats);
    });
  }
  for_each_task(plan.tile_tasks * plan.panel_tasks, [&](int64_t task) {
    const Range tile_blocks = piece(plan.tile_blocks, plan.tile_tasks, task / plan.panel_tasks);
    const Range panels = piece(plan.panels, plan.panel_tasks, task % plan.panel_tasks);
    Scratch<> own(share ? 0 : tile_blocks.size() * layout.floats);
    float* v = share ? shared + tile_blocks.begin * layout.floats : own.data();
    for (int64_t i = 0; i < tile_blocks.size() && !share; ++i) {
      transform(tile_blocks.begin + i, {0, blocks.count}, v + i * layout.floats);
    }
    multiply(p, plan, tile_blocks, panels, layout, v, weights, all);
  });
}

Pass forward_pass(int64_t m, const ConvShape& s, const SplitMap<const float>& x,
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

PreparedWinograd::PreparedWinograd(int64_t m, const ConvShape& s, const WinogradWeights& weights)
    : m_(m), panels_(bytes(m, s)) {
  transform_all_weights(forward_pass(m, s, {nullptr, s.channels}, weights, nullptr, nullptr),
                        panels_.data());
}

int64_t PreparedWinograd::bytes(int64_t m, const ConvShape& s) {
  const WinogradKernels& kernels = winograd_kernels(m);
  const Slabs slabs(kernels, Blocks(s.channels, kernels.block));
  return ceil_div(s.outputs, gemm_kernels().nr) * slabs.panel_floats * 4;
}

void conv_winograd(int64_t m, const ConvShape& s, const SplitMap<const float>& x,
                   const WinogradWeights& weights, const float* bias, float* y,
                   const PreparedWinograd* prepared) {
  run(forward_pass(m, s, x, weights, bias, y), prepared);
}

void conv_winograd_backward_data(int64_t m, const ConvShape& s, const float* dy,
                                 const WinogradWeights& weights, const SplitMap<float>& dx) {
  run({.tiles = Tiles(m, s.batch, s.height, s.width),
       .x = {dy, s.outputs},
       .channels = s.outputs,
       .weights = weights,
       .backward = true,
       .outputs = s.channels,
       .bias = nullptr,
       .y = dx},
      nullptr);
}

}  // namespace ddpm::cpu
