// Forward and backward-data Winograd convolution. Backward-data is the forward pass of dy with the
// kernel turned by half a circle and its channels swapped.
//
// Everything is done in blocks: some tens of tiles, 8 or 16 channels of x and a panel of 16 or 32
// outputs (AVX2, AVX-512). kernels.h describes their arrays. There are three steps:
//
//   input     V of a block of tiles, block after block of channels (input.h)
//   products  panel by panel: V[position] U[position] is added to the sums of all positions, one
//             slab of channels after the other
//   output    the sums of some panels are transformed into y
//
// Blocks of tiles are small, so that V stays in the second-level cache for all panels. U and the
// sums pass through the first-level cache, which is fast enough for that.
//
// U (weight_transform.h) is four times as large as the weights (F(4)) and is used once for each
// block of tiles. With many blocks it is made once, before all tasks, or was prepared. With few it
// is made where it is needed: for one slab and one panel, used for all tiles while it is in the
// first or second level, and dropped. A task then takes a few neighbouring panels: a row of weights
// for one panel is a cache line or two, and lines come faster from memory together with their
// neighbours.
//
// Each slab of channels is summed on its own, however the work is cut into tasks, so bits depend on
// neither threads nor batch.
#include <algorithm>

#include "ddpm/base/threads.h"
#include "ddpm/kernels/cpu/gemm/gemm_kernels.h"
#include "ddpm/kernels/cpu/winograd/input.h"
#include "ddpm/kernels/cpu/winograd/kernels.h"
#include "ddpm/kernels/cpu/winograd/tiles.h"
#include "ddpm/kernels/cpu/winograd/weight_transform.h"
#include "ddpm/kernels/cpu/winograd/winograd.h"

namespace ddpm::cpu {
namespace {

// With at most so many tiles, U is made where it is needed.
constexpr int64_t kFewTiles = 64;
// V of a block of tiles: 224 KiB.
constexpr int64_t kInputFloats = 56 << 10;
// Tiles of a block. With fewer, fetching U would not pay.
constexpr int64_t kLeastTiles = 16;
constexpr int64_t kMostTiles = 24;
// The most tiles of a block where all tasks take the same tiles.
constexpr int64_t kMostFewTiles = 32;
// Panels between two output transforms.
constexpr int64_t kPanelBatch = 4;

struct Pass {
  Tiles tiles;
  SplitMap<const float> x;
  PassWeights weights;
  const float* bias;  // or null
  SplitMap<float> y;
};

struct Plan {
  int64_t panels;
  int64_t tile_blocks, most_tiles;  // of a block
  int64_t tile_tasks, panel_tasks;  // tasks are their product
  bool ahead;                       // U was made for all panels and channels
};

Plan make_plan(const Pass& p, bool prepared) {
  Plan plan;
  const bool few = p.tiles.count <= kFewTiles;
  plan.ahead = prepared || !few;
  plan.panels = ceil_div(p.weights.outputs, gemm_kernels().nr);
  // Enough tasks for all threads: blocks of tiles first, since panels share V.
  const int64_t wanted = num_threads() == 1 ? 1 : (plan.ahead ? 2 : 4) * num_threads();
  const int64_t fit = std::min(kInputFloats / (p.tiles.positions() * p.weights.channels),
                               ceil_div(p.tiles.count, wanted));
  const int64_t most = few ? kMostFewTiles : std::clamp(fit, kLeastTiles, kMostTiles);
  plan.tile_blocks = ceil_div(p.tiles.count, most);
  if (!few) plan.tile_blocks = std::min(p.tiles.count, even_tasks(plan.tile_blocks));
  plan.most_tiles = ceil_div(p.tiles.count, plan.tile_blocks);
  plan.tile_tasks = few ? 1 : plan.tile_blocks;
  plan.panel_tasks = std::min(plan.panels, ceil_div(wanted, plan.tile_tasks));
  return plan;
}

// The sums of a task: of some blocks of tiles and a batch of panels, [block of tiles][panel]
// [position][tile][nr].
class Sums {
 public:
  Sums(const Pass& p, const Plan& plan, Range tile_blocks, int64_t panels)
      : stride(position_stride(plan.most_tiles * gemm_kernels().nr)),
        size(p.tiles.positions() * stride),
        tile_blocks_(tile_blocks),
        panels_(panels),
        memory_(tile_blocks.size() * panels * size) {}
  // Of a block of tiles and the batch's panel number `panel`.
  float* of(int64_t tile_block, int64_t panel) {
    return memory_.data() + ((tile_block - tile_blocks_.begin) * panels_ + panel) * size;
  }

  const int64_t stride;  // between positions
  const int64_t size;    // of a block of tiles and a panel

 private:
  Range tile_blocks_;
  int64_t panels_;
  Scratch<> memory_;
};

// The three steps, each for all tasks or for one.
class DataPass {
 public:
  DataPass(const Pass& pass, const PreparedWinograd* prepared)
      : p_(pass),
        kernels_(winograd_kernels(pass.tiles.m)),
        nr_(gemm_kernels().nr),
        plan_(make_plan(pass, prepared != nullptr)),
        transform_(pass.tiles.m, pass.weights),
        layout_(pass.tiles, Blocks(pass.weights.channels, kernels_.block), plan_.most_tiles),
        zeros_(pass.weights.channels),
        share_input_(plan_.panel_tasks > 1),
        shared_input_(share_input_ ? plan_.tile_blocks * layout_.floats : 0),
        made_(plan_.ahead && !prepared ? transform_.floats() : 0),
        all_weights_(prepared      ? prepared->panels()
                     : plan_.ahead ? made_.data()
                                   : nullptr) {
    std::fill_n(zeros_.data(), pass.weights.channels, 0.0f);
    if (plan_.ahead && !prepared) transform_.all(made_.data());
  }

  void run() {
    if (share_input_) make_shared_input();
    for_each_task(plan_.tile_tasks * plan_.panel_tasks, [&](int64_t task) {
      run_task(piece(plan_.tile_blocks, plan_.tile_tasks, task / plan_.panel_tasks),
               piece(plan_.panels, plan_.panel_tasks, task % plan_.panel_tasks));
    });
  }

 private:
  Range tiles_of(int64_t tile_block) const {
    return piece(p_.tiles.count, plan_.tile_blocks, tile_block);
  }

  // V of some blocks of channels, to v, where the first of them begins.
  void make_input(int64_t tile_block, Range channel_blocks, float* v) const {
    transform_input(p_.tiles, tiles_of(tile_block), p_.x, layout_, channel_blocks, zeros_.data(),
                    v);
  }

  // All V, where several tasks need the same tiles.
  void make_shared_input() {
    const int64_t blocks = layout_.blocks.count;
    const int64_t parts = std::min(blocks, ceil_div(4 * int64_t{num_threads()}, plan_.tile_blocks));
    for_each_task(plan_.tile_blocks * parts, [&](int64_t task) {
      const int64_t i = task / parts;
      const Range some = piece(blocks, parts, task % parts);
      make_input(i, some,
                 shared_input_.data() + i * layout_.floats + some.begin * layout_.block_floats);
    });
  }

  // Blocks of tiles [tile_blocks) x panels [panels).
  void run_task(Range tile_blocks, Range panels) const {
    Scratch<> own(share_input_ ? 0 : tile_blocks.size() * layout_.floats);
    for (int64_t i = 0; i < tile_blocks.size() && !share_input_; ++i) {
      make_input(tile_blocks.begin + i, {0, layout_.blocks.count}, own.data() + i * layout_.floats);
    }
    const float* v =
        share_input_ ? shared_input_.data() + tile_blocks.begin * layout_.floats : own.data();
    const int64_t batch = std::min(panels.size(), kPanelBatch);
    Sums sums(p_, plan_, tile_blocks, batch);
    TaskWeights weights(transform_, all_weights_);
    for (int64_t first = panels.begin; first < panels.end; first += batch) {
      const Range now = {first, std::min(panels.end, first + batch)};
      multiply(tile_blocks, now, v, weights, sums);
      write_output(tile_blocks, now, sums);
    }
  }

  // Sums of all channels. v: V of these tiles [block of tiles][block of channels].
  void multiply(Range tile_blocks, Range panels, const float* v, TaskWeights& weights,
                Sums& sums) const {
    const Slabs& slabs = transform_.slabs();
    const int64_t at_once = weights.slabs_at_once();
    for (int64_t begin = 0; begin < slabs.count; begin += at_once) {
      const Range some = {begin, std::min(slabs.count, begin + at_once)};
      for (int64_t panel = panels.begin; panel < panels.end; ++panel) {
        weights.begin(panel, some);
        for (int64_t slab = some.begin; slab < some.end; ++slab) {
          const float* u = weights.of(slab);
          const Range blocks = slabs[slab];
          for (int64_t t = tile_blocks.begin; t < tile_blocks.end; ++t) {
            const float* block_v = v + (t - tile_blocks.begin) * layout_.floats;
            kernels_.multiply(tiles_of(t).size(), blocks.size(),
                              block_v + blocks.begin * layout_.block_floats, layout_.stride,
                              layout_.block_floats, u, plan_.ahead, slab > 0,
                              sums.of(t, panel - panels.begin), sums.stride);
          }
        }
      }
    }
  }

  void write_output(Range tile_blocks, Range panels, Sums& sums) const {
    for (int64_t i = tile_blocks.begin; i < tile_blocks.end; ++i) {
      const Range tiles = tiles_of(i);
      for (int64_t t = 0; t < tiles.size(); ++t) {
        write_tile(tiles.begin + t, panels, sums.of(i, 0) + t * nr_, sums);
      }
    }
  }

  // Some panels of tile t, whose sums begin at `from`.
  void write_tile(int64_t t, Range panels, const float* from, const Sums& sums) const {
    const int64_t m = p_.tiles.m, outputs = p_.weights.outputs;
    p_.y.for_each_part(
        panels.begin * nr_, std::min(outputs, panels.end * nr_), outputs,
        [&](float* y, int64_t width, int64_t at, int64_t first, int64_t count) {
          float* pixels[kMaxPositions];
          p_.tiles.pixels<float>(t, m, 0, y, width, nullptr, pixels);
          from_multiples({first, first + count}, nr_, [&](int64_t panel, Range columns) {
            const float* panel_sums = from + (panel - panels.begin) * sums.size;
            kernels_.output(panel_sums + columns.begin - panel * nr_, sums.stride, sums.size,
                            columns.size(), p_.bias ? p_.bias + columns.begin : nullptr, pixels,
                            at + columns.begin - first);
          });
        });
  }

  const Pass& p_;
  const WinogradKernels& kernels_;
  const int64_t nr_;
  const Plan plan_;
  const WeightTransform transform_;
  const InputLayout layout_;
  Scratch<> zeros_;
  const bool share_input_;
  Scratch<> shared_input_;  // V [block of tiles][block of channels]
  Scratch<> made_;          // U [panel][slab]
  const float* all_weights_;
};

void run(const Pass& p, const PreparedWinograd* prepared) {
  if (p.tiles.count > 0 && p.weights.outputs > 0) DataPass(p, prepared).run();
}

PassWeights forward_weights(const ConvShape& s, const WinogradWeights& weights) {
  return {.channels = s.channels, .outputs = s.outputs, .weights = weights, .backward = false};
}

}  // namespace

PreparedWinograd::PreparedWinograd(int64_t m, const ConvShape& s, const WinogradWeights& weights)
    : m_(m), panels_(bytes(m, s) / static_cast<int64_t>(sizeof(float))) {
  WeightTransform(m, forward_weights(s, weights)).all(panels_.data());
}

int64_t PreparedWinograd::bytes(int64_t m, const ConvShape& s) {
  const WinogradKernels& kernels = winograd_kernels(m);
  const Slabs slabs(kernels, Blocks(s.channels, kernels.block));
  return ceil_div(s.outputs, gemm_kernels().nr) * slabs.panel_floats *
         static_cast<int64_t>(sizeof(float));
}

void conv_winograd(int64_t m, const ConvShape& s, const SplitMap<const float>& x,
                   const WinogradWeights& weights, const float* bias, float* y,
                   const PreparedWinograd* prepared) {
  run({.tiles = Tiles(m, s.batch, s.height, s.width),
       .x = x,
       .weights = forward_weights(s, weights),
       .bias = bias,
       .y = {y, s.outputs}},
      prepared);
}

void conv_winograd_backward_data(int64_t m, const ConvShape& s, const float* dy,
                                 const WinogradWeights& weights, const SplitMap<float>& dx) {
  run({.tiles = Tiles(m, s.batch, s.height, s.width),
       .x = {dy, s.outputs},
       .weights =
           {.channels = s.outputs, .outputs = s.channels, .weights = weights, .backward = true},
       .bias = nullptr,
       .y = dx},
      nullptr);
}

}  // namespace ddpm::cpu
