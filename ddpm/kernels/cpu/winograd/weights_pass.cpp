// Backward-weights Winograd convolution: dw = G^T [sum over tiles of (B^T x B) * (A dy A^T)] G.
// With V the transformed tiles of x and D those of dy, the sum is a transposed product for each
// position, S[position][c][k] = sum over tiles t of V[position][t][c] D[position][t][k]. Both
// transforms write the rows that the micro-kernel reads.
//
// Blocking. A task sums S of up to 64 channels and 64 outputs, which takes half of the second-level
// cache, and ends with G^T S G. So S, four times as large as dw (F(4)), never goes to memory. Such
// a range of channels and outputs is a part of the layer. Where there are few parts, each makes V
// and D itself, for some tiles at a time, which stay in that cache as well. Its tiles are cut into
// pieces with a dw of their own each, so that there is work for many threads. Where there are more
// parts, all would make the same V and D. So V and D are made first, for as many tiles as kBytes
// hold, and pass through the last-level cache.
//
// The order of additions depends on the problem alone, so results do not depend on the threads.
#include <algorithm>

#include "ddpm/base/threads.h"
#include "ddpm/kernels/cpu/gemm/gemm_kernels.h"
#include "ddpm/kernels/cpu/winograd/input.h"
#include "ddpm/kernels/cpu/winograd/kernels.h"
#include "ddpm/kernels/cpu/winograd/tiles.h"
#include "ddpm/kernels/cpu/winograd/winograd.h"

namespace ddpm::cpu {
namespace {

// Channels and outputs of a task.
constexpr int64_t kPartWidth = 64;
// With at most so many parts, each part of a layer makes V and D itself.
constexpr int64_t kMostOwnParts = 2;
// Tiles that such a part makes at a time.
constexpr int64_t kOwnTiles = 16;
// The fewest tiles of a piece with a dw of its own.
constexpr int64_t kPieceTiles = 64;
// The most pieces of all parts together.
constexpr int64_t kMostPieces = 16;
// Of V and D where they are made first.
constexpr int64_t kBytes = int64_t{16} << 20;
// Tasks whose sums of dy are added in order for dbias.
constexpr int64_t kTransformTasks = 16;

struct Problem {
  Problem(int64_t m, const ConvShape& s, const SplitMap<const float>& map, const float* gradient)
      : tiles(m, s.batch, s.height, s.width),
        x(map),
        dy(gradient),
        channels(s.channels),
        outputs(s.outputs),
        kernels(winograd_kernels(m)),
        blocks(s.channels, kernels.block),
        panels(s.outputs, gemm_kernels().nr) {}

  Tiles tiles;
  SplitMap<const float> x;
  const float* dy;
  int64_t channels, outputs;
  const WinogradKernels& kernels;
  Blocks blocks, panels;  // of channels, of outputs
};

// D of at most so many tiles, panel after panel [position][tile][nr].
struct GradientLayout {
  GradientLayout(const Problem& p, int64_t most_tiles)
      : stride(position_stride(most_tiles * p.panels.size)),
        panel_floats(p.tiles.positions() * stride) {}
  int64_t stride, panel_floats;
};

// Writes D of tiles [range) for `some` of the panels. d is where the first of these panels begins;
// there the tiles go to places `at`, at + 1, ... sums[k] of those panels += dy over the tiles,
// where not null.
void transform_gradient(const Problem& p, Range range, const GradientLayout& layout, Range some,
                        const float* zeros, float* d, int64_t at, float* sums) {
  const Range outputs = p.panels.channels(some);
  for (int64_t t = range.begin; t < range.end; ++t, ++at) {
    const float* pixels[kMaxPositions];
    p.tiles.pixels(t, p.tiles.m, 0, p.dy + outputs.begin, p.outputs, zeros, pixels);
    p.kernels.output_gradient(pixels, outputs.size(), d + at * p.panels.size, layout.stride,
                              layout.panel_floats, sums);
  }
}

// Where dw of all channels [9][C][K] lies, and whether it is added to.
struct Destination {
  float* dw;
  bool add;
};

// G^T S G of a block and a panel, straight to dw where a whole panel of it is written.
void finish(const Problem& p, int64_t block, int64_t panel, const float* s, const Destination& to) {
  const Range channels = p.blocks.channels({block, block + 1});
  const Range outputs = p.panels.channels({panel, panel + 1});
  const int64_t nr = p.panels.size, tap_stride = p.channels * p.outputs;
  float* dw = to.dw + channels.begin * p.outputs + outputs.begin;
  if (!to.add && outputs.size() == nr) {
    p.kernels.block_gradient(s, channels.size(), dw, tap_stride, p.outputs);
    return;
  }
  Scratch<> memory(9 * channels.size() * nr);
  const float* taps = memory.data();  // [tap][channel][nr]
  p.kernels.block_gradient(s, channels.size(), memory.data(), channels.size() * nr, nr);
  for (int64_t tap = 0; tap < 9; ++tap) {
    for (int64_t c = 0; c < channels.size(); ++c, taps += nr) {
      float* row = dw + tap * tap_stride + c * p.outputs;
      for (int64_t k = 0; k < outputs.size(); ++k) row[k] = (to.add ? row[k] : 0.0f) + taps[k];
    }
  }
}

void finish(const Problem& p, Range blocks, Range panels, const float* s, const Destination& to) {
  for (int64_t block = blocks.begin; block < blocks.end; ++block) {
    for (int64_t panel = panels.begin; panel < panels.end; ++panel) {
      finish(p, block, panel, s, to);
      s += p.kernels.gradient_size;
    }
  }
}

// Zeros for what lies outside of the map: as many as x and dy have channels, in whole vectors.
class Zeros {
 public:
  explicit Zeros(const Problem& p)
      : count_(std::max(p.channels, p.panels.count * p.panels.size)), memory_(count_) {
    std::fill_n(memory_.data(), count_, 0.0f);
  }
  const float* data() { return memory_.data(); }

 private:
  int64_t count_;
  Scratch<> memory_;
};

// Parts of a layer: ranges of blocks x ranges of panels.
struct Parts {
  Parts(const Problem& p, int64_t most_blocks)
      : blocks(p.blocks.count),
        panels(p.panels.count),
        rows(ceil_div(blocks, most_blocks)),
        columns(ceil_div(panels * p.panels.size, kPartWidth)) {}
  int64_t count() const { return rows * columns; }
  Range blocks_of(int64_t part) const { return piece(blocks, rows, part / columns); }
  Range panels_of(int64_t part) const { return piece(panels, columns, part % columns); }

  int64_t blocks, panels, rows, columns;
};

// The tiles [range) of one part, V and D made here.
void own_piece(const Problem& p, Range range, Range blocks, Range panels, const float* zeros,
               const Destination& to, float* sums) {
  const InputLayout v_layout(p.tiles, p.blocks, kOwnTiles);
  const GradientLayout d_layout(p, kOwnTiles);
  Scratch<> v_memory(blocks.size() * v_layout.block_floats);
  Scratch<> d_memory(panels.size() * d_layout.panel_floats);
  Scratch<> s_memory(blocks.size() * panels.size() * p.kernels.gradient_size);
  float *v = v_memory.data(), *d = d_memory.data(), *s = s_memory.data();
  const int64_t steps = ceil_div(range.size(), kOwnTiles);
  for (int64_t i = 0; i < steps; ++i) {
    Range tiles = piece(range.size(), steps, i);
    tiles.begin += range.begin, tiles.end += range.begin;
    transform_input(p.tiles, tiles, p.x, v_layout, blocks, zeros, v);
    transform_gradient(p, tiles, d_layout, panels, zeros, d, 0, sums);
    p.kernels.multiply_gradient(
        tiles.size(), {v, blocks.size(), v_layout.block_floats, v_layout.stride},
        {d, panels.size(), d_layout.panel_floats, d_layout.stride}, i > 0, s);
  }
  finish(p, blocks, panels, s, to);
}

void in_own_pieces(const Problem& p, const Parts& parts, float* dw, float* dbias) {
  Zeros zeros(p);
  const int64_t pieces = std::clamp<int64_t>(p.tiles.count / kPieceTiles, 1,
                                             std::max<int64_t>(1, kMostPieces / parts.count()));
  const int64_t weights = 9 * p.channels * p.outputs, padded = p.panels.count * p.panels.size;
  Scratch<> partial_memory(pieces > 1 ? pieces * weights : 0), sums_memory(pieces * padded);
  float *partial = pieces > 1 ? partial_memory.data() : dw, *sums = sums_memory.data();
  std::fill_n(sums, pieces * padded, 0.0f);
  for_each_task(pieces * parts.count(), [&](int64_t task) {
    const int64_t i = task / parts.count(), part = task % parts.count();
    const Range blocks = parts.blocks_of(part), panels = parts.panels_of(part);
    const bool sum = dbias && blocks.begin == 0;
    own_piece(p, piece(p.tiles.count, pieces, i), blocks, panels, zeros.data(),
              {partial + i * weights, false},
              sum ? sums + i * padded + panels.begin * p.panels.size : nullptr);
  });
  if (pieces > 1) add_parts(partial, pieces, weights, weights, dw);
  if (dbias) add_parts(sums, pieces, padded, p.outputs, dbias);
}

void through_memory(const Problem& p, float* dw, float* dbias) {
  Zeros zeros(p);
  const int64_t widths = p.blocks.count * p.blocks.size + p.panels.count * p.panels.size;
  const int64_t fit = std::max<int64_t>(1, kBytes / (p.tiles.positions() * widths * 4));
  const int64_t chunks = ceil_div(p.tiles.count, fit), most = ceil_div(p.tiles.count, chunks);
  const InputLayout v_layout(p.tiles, p.blocks, most);
  const GradientLayout d_layout(p, most);
  const int64_t padded = p.panels.count * p.panels.size;
  Scratch<> v_memory(v_layout.floats), d_memory(p.panels.count * d_layout.panel_floats);
  Scratch<> sums_memory(chunks * kTransformTasks * padded);
  float *v = v_memory.data(), *d = d_memory.data(), *sums = sums_memory.data();
  std::fill_n(sums, chunks * kTransformTasks * padded, 0.0f);
  // Enough parts for all threads. Which numbers are summed together does not depend on how the
  // parts are cut.
  int64_t most_blocks = kPartWidth / p.blocks.size;
  while (most_blocks > 1 && Parts(p, most_blocks).count() < 4 * num_threads()) most_blocks /= 2;
  const Parts parts(p, most_blocks);
  const int64_t input_tasks = std::min(p.blocks.count, 2 * int64_t{num_threads()});

  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    const Range tiles = piece(p.tiles.count, chunks, chunk);
    // The two kinds of tasks alternate, so that each thread gets some of both.
    const int64_t all_tasks = input_tasks + kTransformTasks;
    for_each_task(all_tasks, [&](int64_t task) {
      const int64_t inputs = ceil_div(task * input_tasks, all_tasks);  // before this task
      if (ceil_div((task + 1) * input_tasks, all_tasks) > inputs) {
        const Range some = piece(p.blocks.count, input_tasks, inputs);
        transform_input(p.tiles, tiles, p.x, v_layout, some, zeros.data(),
                        v + some.begin * v_layout.block_floats);
        return;
      }
      const int64_t part = task - inputs;
      Range some = piece(tiles.size(), kTransformTasks, part);
      const int64_t at = some.begin;
      some.begin += tiles.begin, some.end += tiles.begin;
      transform_gradient(p, some, d_layout, {0, p.panels.count}, zeros.data(), d, at,
                         dbias ? sums + (chunk * kTransformTasks + part) * padded : nullptr);
    });
    for_each_task(parts.count(), [&](int64_t part) {
      const Range blocks = parts.blocks_of(part), panels = parts.panels_of(part);
      Scratch<> s_memory(blocks.size() * panels.size() * p.kernels.gradient_size);
      p.kernels.multiply_gradient(tiles.size(),
                                  {v + blocks.begin * v_layout.block_floats, blocks.size(),
                                   v_layout.block_floats, v_layout.stride},
                                  {d + panels.begin * d_layout.panel_floats, panels.size(),
                                   d_layout.panel_floats, d_layout.stride},
                                  false, s_memory.data());
      finish(p, blocks, panels, s_memory.data(), {dw, chunk > 0});
    });
  }
  if (dbias) add_parts(sums, chunks * kTransformTasks, padded, p.outputs, dbias);
}

}  // namespace

void conv_winograd_backward_weights(int64_t m, const ConvShape& shape,
                                    const SplitMap<const float>& x, const float* dy, float* dw,
                                    float* dbias) {
  const Problem p(m, shape, x, dy);
  if (p.tiles.count <= 0 || p.channels <= 0 || p.outputs <= 0) {
    std::fill_n(dw, 9 * p.channels * p.outputs, 0.0f);
    if (dbias) std::fill_n(dbias, p.outputs, 0.0f);
    return;
  }
  const Parts parts(p, kPartWidth / p.blocks.size);
  parts.count() <= kMostOwnParts ? in_own_pieces(p, parts, dw, dbias)
                                 : through_memory(p, dw, dbias);
}

}  // namespace ddpm::cpu
