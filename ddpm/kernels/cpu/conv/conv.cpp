// Forward and backward-data convolution as one indirect matrix product: output pixels are rows,
// output channels are columns, and the reduction runs over (tap, input channel). The image is never
// rearranged: a table gives, for each group of mr output pixels and each tap, where the input
// pixel's channels lie (a row of zeros for padding), and the micro-kernel walks along it.
// Backward-data is the same gather with transposed weights; with stride s it falls apart into s x s
// phases of output pixels, each of which sees only its own taps, so no multiplication meets an
// inserted zero.
//
// Blocking. The reduction is cut into blocks of at most the kernel's depth (whole taps, or parts of
// one where there are many channels), at places that depend on the layer alone. A task is a block
// of rows x a range of columns. It packs the weights of as many reduction blocks as the
// second-level cache holds beside the rest, in panels of nr columns, at most 16 to 24 KiB each. A
// strip of some tens of rows then passes under one panel after the other: the panel comes to the
// first-level cache once for the strip, the strip's inputs stay there, and its outputs are written
// side by side, which the way to memory needs. A 1x1 convolution calls the rows of a tile while it
// computes the one before, under the first panel, which finds them in memory. Packing costs 1/rows
// of the arithmetic, so weights are never packed in advance. With few channels a tap is a whole row
// of the kernel (tap_rows.h).
#include "ddpm/kernels/cpu/conv/conv.h"

#include <algorithm>
#include <vector>

#include "ddpm/base/threads.h"
#include "ddpm/kernels/cpu/conv/tap_rows.h"
#include "ddpm/kernels/cpu/gemm/gemm_kernels.h"
#include "ddpm/kernels/cpu/work/tasks.h"

namespace ddpm::cpu {
namespace {

constexpr int64_t kTaskRows = 960;  // at most; with several taps half, as their tables take room
constexpr int64_t kLeastTaskRows = 120;  // where rows suffice for all threads, so that packing pays
constexpr int64_t kPackedFloats = 48 << 10;  // of weights that a task keeps packed: 192 KiB
constexpr int64_t kStripGroups = 8;          // of mr rows
constexpr int64_t kWeightCost = 8;           // to fetch and pack a weight, in multiply-adds

// The gather that both directions are: to[n, u * to_stride + to_y, v * to_stride + to_x] = bias +
// sum over taps of from[n, u * from_stride + tap.dy, v * from_stride + tap.dx] times the tap's
// weights, for u < rows, v < columns.
struct Gather {
  struct Source {
    const float* data;
    int64_t pitch;     // floats of a pixel
    int64_t channels;  // that a tap reads
  };
  struct Tap {
    int64_t dy, dx;
    const float* weights;
    Source from;
  };
  int64_t from_height, from_width, from_stride;
  float* to;
  int64_t to_height, to_width, to_channels, to_stride, to_y, to_x;
  int64_t batch, rows, columns;
  std::vector<Tap> taps;
  int64_t weight_stride;    // row stride of a tap's weights
  bool weights_transposed;  // false: [from channels, to_channels], true: the other way round
  const float* bias;

  // A 1x1 convolution: pixel i of `to` reads pixel i of every tap's source.
  bool pixel_to_pixel() const {
    return std::all_of(taps.begin(), taps.end(),
                       [](const Tap& tap) { return tap.dy == 0 && tap.dx == 0; }) &&
           from_stride == 1 && to_stride == 1 && rows == from_height && columns == from_width &&
           rows == to_height && columns == to_width;
  }
  bool taps_alike() const {
    return std::all_of(taps.begin(), taps.end(),
                       [&](const Tap& tap) { return tap.from.channels == taps[0].from.channels; });
  }
};

// A chain of n additions loses sqrt(n) roundings; several shorter chains, then added, lose fewer.
// It costs a load and a store of the outputs per chain, so shorter ones than the least do not pay.
constexpr int64_t kAccuracyBlocks = 4, kLeastDepth = 128;

// One step of the reduction: some whole taps, or some channels of one tap.
struct Block {
  Range taps, channels;
  int64_t depth() const { return taps.size() * channels.size(); }
};

// Cuts the reduction by the layer alone, so that an output's additions are always grouped alike.
std::vector<Block> cut_reduction(const Gather& g, int64_t depth) {
  std::vector<Block> blocks;
  const int64_t taps = static_cast<int64_t>(g.taps.size()), channels = g.taps[0].from.channels;
  if (g.taps_alike() && channels <= depth) {
    const int64_t count = ceil_div(taps, depth / channels);
    for (int64_t i = 0; i < count; ++i) blocks.push_back({piece(taps, count, i), {0, channels}});
    return blocks;
  }
  for (int64_t tap = 0; tap < taps; ++tap) {
    const int64_t all = g.taps[tap].from.channels, parts = ceil_div(all, depth);
    for (int64_t j = 0; j < parts; ++j) blocks.push_back({{tap, tap + 1}, piece(all, parts, j)});
  }
  return blocks;
}

// Calls visit(index in range, image, u, v) for output pixels [range) in order.
template <class Visit>
void for_each_pixel(const Gather& g, Range pixels, const Visit& visit) {
  int64_t v = pixels.begin % g.columns, u = pixels.begin / g.columns % g.rows;
  int64_t n = pixels.begin / g.columns / g.rows;
  for (int64_t i = 0; i < pixels.size(); ++i) {
    visit(i, n, u, v);
    if (++v == g.columns) {
      v = 0;
      if (++u == g.rows) u = 0, ++n;
    }
  }
}

// The channels that a tap reads for output pixel (n, u, v), or zeros outside the image.
const float* tap_input(const Gather& g, const Gather::Tap& tap, int64_t n, int64_t u, int64_t v,
                       const float* zeros) {
  const int64_t y = u * g.from_stride + tap.dy, x = v * g.from_stride + tap.dx;
  const bool inside = y >= 0 && y < g.from_height && x >= 0 && x < g.from_width;
  const Gather::Source& from = tap.from;
  return inside ? from.data + ((n * g.from_height + y) * g.from_width + x) * from.pitch : zeros;
}

// Packs a block's weights for panels [panels): [panel][tap][channel][nr]. Weights are read along
// their rows, which may be pages apart: all panels of some rows, or, transposed, whole rows.
void pack_block(const Gather& g, const GemmKernels& kernels, const Block& block, Range panels,
                float* packed) {
  const int64_t nr = kernels.nr, rows = g.weights_transposed ? block.channels.size() : 16;
  for (int64_t t = block.taps.begin; t < block.taps.end; ++t) {
    const float* weights = g.taps[t].weights;
    for (int64_t c = block.channels.begin; c < block.channels.end; c += rows) {
      const int64_t depth = std::min(rows, block.channels.end - c);
      float* to = packed;
      for (int64_t p = panels.begin; p < panels.end; ++p, to += block.depth() * nr) {
        const int64_t column = p * nr, columns = std::min(nr, g.to_channels - column);
        if (g.weights_transposed) {
          kernels.pack_transposed(weights + column * g.weight_stride + c, g.weight_stride, depth,
                                  columns, to);
        } else {
          kernels.pack(weights + c * g.weight_stride + column, g.weight_stride, depth, columns, to,
                       nullptr);
        }
      }
      packed += depth * nr;
    }
  }
}

// Computes output pixels [pixels) x panels [panels) of nr channels.
void gather_task(const Gather& g, const GemmKernels& kernels, const std::vector<Block>& blocks,
                 Range pixels, Range panels, const float* zeros) {
  const int64_t mr = kernels.mr, nr = kernels.nr;
  const int64_t taps = static_cast<int64_t>(g.taps.size());
  const int64_t groups = ceil_div(pixels.size(), mr);
  const int64_t group_rows = pixels.size() / groups, larger_groups = pixels.size() % groups;

  // left[group][tap][row], to[group][row]; rows of the groups differ by at most one.
  Scratch<const float*> left_memory(groups * taps * mr);
  Scratch<float*> to_memory(groups * mr);
  const float** left = left_memory.data();
  float** to = to_memory.data();
  int64_t group = 0, row = 0;
  const auto next_row = [&] {
    if (++row == group_rows + (group < larger_groups)) row = 0, ++group;
  };
  const bool pointwise = g.pixel_to_pixel();
  if (pointwise) {
    for (int64_t i = pixels.begin; i < pixels.end; ++i, next_row()) {
      for (int64_t t = 0; t < taps; ++t) {
        const Gather::Source& from = g.taps[t].from;
        left[(group * taps + t) * mr + row] = from.data + i * from.pitch;
      }
      to[group * mr + row] = g.to + i * g.to_channels;
    }
  } else {
    for_each_pixel(g, pixels, [&](int64_t, int64_t n, int64_t u, int64_t v) {
      const int64_t y = u * g.to_stride + g.to_y, x = v * g.to_stride + g.to_x;
      to[group * mr + row] = g.to + ((n * g.to_height + y) * g.to_width + x) * g.to_channels;
      for (int64_t t = 0; t < taps; ++t) {
        left[(group * taps + t) * mr + row] = tap_input(g, g.taps[t], n, u, v, zeros);
      }
      next_row();
    });
  }

  const int64_t width = panels.size() * nr;
  Scratch<> packed_memory(std::max(kPackedFloats, kernels.depth * width));
  for (size_t first = 0, last = 0; first < blocks.size(); first = last) {
    float* packed = packed_memory.data();
    int64_t used = 0;
    do {
      pack_block(g, kernels, blocks[last], panels, packed + used);
      used += blocks[last].depth() * width;
    } while (++last < blocks.size() && used + blocks[last].depth() * width <= kPackedFloats);
    for (group = 0; group < groups; group += kStripGroups) {
      const int64_t end = std::min(groups, group + kStripGroups);
      RowGroups strip;
      strip.groups = end - group;
      strip.rows =
          strip.groups * group_rows + std::min(end, larger_groups) - std::min(group, larger_groups);
      strip.left_step = taps * mr;
      const float* b = packed;
      for (size_t i = first; i < last; ++i) {
        const Block& block = blocks[i];
        RowTile tile;
        tile.left = left + (group * taps + block.taps.begin) * mr;
        tile.segments = block.taps.size();
        tile.length = block.channels.size();
        tile.offset = block.channels.begin;
        tile.b_stride = nr;
        for (int64_t p = panels.begin; p < panels.end; ++p) {
          const int64_t column = p * nr;
          tile.b = b;
          tile.fetch = p == panels.begin && pointwise;
          kernels.row_tiles(strip, tile,
                            {.rows = to + group * mr,
                             .columns = std::min(nr, g.to_channels - column),
                             .bias = i == 0 && g.bias ? g.bias + column : nullptr,
                             .accumulate = i > 0,
                             .offset = column});
          b += block.depth() * nr;
        }
      }
    }
  }
}

// Outputs that no tap reaches.
void fill_bias(const Gather& g) {
  for_each_pixel(g, {0, g.batch * g.rows * g.columns},
                 [&](int64_t, int64_t n, int64_t u, int64_t v) {
                   const int64_t y = u * g.to_stride + g.to_y, x = v * g.to_stride + g.to_x;
                   float* to = g.to + ((n * g.to_height + y) * g.to_width + x) * g.to_channels;
                   for (int64_t k = 0; k < g.to_channels; ++k) {
                     to[k] = g.bias ? g.bias[k] : 0.0f;
                   }
                 });
}

void run_gather(const Gather& g) {
  const int64_t pixels = g.batch * g.rows * g.columns;
  if (pixels <= 0 || g.to_channels <= 0) return;
  int64_t reduction = 0, most_channels = 0;
  for (const Gather::Tap& tap : g.taps) {
    reduction += tap.from.channels;
    most_channels = std::max(most_channels, tap.from.channels);
  }
  if (reduction <= 0) return fill_bias(g);

  const GemmKernels& kernels = gemm_kernels();
  const int64_t taps = static_cast<int64_t>(g.taps.size());
  const int64_t depth =
      std::clamp(ceil_div(reduction, kAccuracyBlocks), kLeastDepth, kernels.depth);
  const std::vector<Block> blocks = cut_reduction(g, depth);
  // Tasks: enough for every thread to take several, and equally many; rows before columns where
  // there are many rows.
  const int64_t panels = ceil_div(g.to_channels, kernels.nr);
  const int64_t wanted = num_threads() == 1 ? 1 : 4 * num_threads();
  int64_t row_tasks = std::max(ceil_div(pixels, taps > 1 ? kTaskRows / 2 : kTaskRows),
                               std::min(wanted, pixels / kLeastTaskRows));
  int64_t column_tasks = 1;
  if (row_tasks < wanted) column_tasks = std::min(panels, ceil_div(wanted, row_tasks));
  column_tasks = std::max(column_tasks,
                          std::min(panels, ceil_div(panels * kernels.nr * depth, kPackedFloats)));
  if (row_tasks * column_tasks < wanted) {
    const int64_t most = ceil_div(pixels, 8 * kernels.mr);
    row_tasks = std::max(row_tasks, std::min(most, ceil_div(wanted, column_tasks)));
  }
  if (row_tasks * column_tasks > num_threads() && column_tasks % num_threads() != 0) {
    row_tasks = std::min(pixels, even_tasks(row_tasks));
  }
  Scratch<> zeros_memory(most_channels);
  float* zeros = zeros_memory.data();
  std::fill_n(zeros, most_channels, 0.0f);
  const int64_t weights = reduction * g.to_channels;
  const int64_t work = (pixels + kWeightCost) * weights;
  for_each_task(row_tasks * column_tasks, work, [&](int64_t task) {
    gather_task(g, kernels, blocks, piece(pixels, row_tasks, task / column_tasks),
                piece(panels, column_tasks, task % column_tasks), zeros);
  });
}

}  // namespace

namespace {

// The forward pass of x but for its taps.
Gather forward_gather(const ConvShape& s, const float* bias, float* y) {
  Gather g;
  g.from_height = s.height, g.from_width = s.width;
  g.from_stride = s.stride;
  g.to = y;
  g.to_height = s.out_height(), g.to_width = s.out_width(), g.to_channels = s.outputs;
  g.to_stride = 1, g.to_y = 0, g.to_x = 0;
  g.batch = s.batch, g.rows = g.to_height, g.columns = g.to_width;
  g.weight_stride = s.outputs;
  g.weights_transposed = false;
  g.bias = bias;
  return g;
}

}  // namespace

void conv_direct(const ConvShape& shape, const float* x, const float* w, const float* bias,
                 float* y) {
  const TapImage image(shape, x);
  const ConvShape& s = image.shape();
  const int64_t span = tap_span(s);
  Gather g = forward_gather(s, bias, y);
  for (int64_t i = 0; i < s.kernel_height; ++i) {
    for (int64_t j = 0; j < s.kernel_width; j += span) {
      const float* weights = w + (i * s.kernel_width + j) * s.channels * s.outputs;
      g.taps.push_back(
          {i - s.padding, j - s.padding, weights, {image.data(), s.channels, span * s.channels}});
    }
  }
  run_gather(g);
}

void conv_pointwise(const ConvShape& s, const SplitMap<const float>& x, const float* w,
                    const float* bias, float* y) {
  Gather g = forward_gather(s, bias, y);
  x.for_each_part(0, s.channels, s.channels,
                  [&](const float* map, int64_t width, int64_t, int64_t first, int64_t count) {
                    g.taps.push_back({0, 0, w + first * s.outputs, {map, width, count}});
                  });
  run_gather(g);
}

namespace {

// Without a stride, backward-data is the convolution of dy with the kernel turned round and its
// matrices transposed. Where dy has few channels it runs as that, so that rows of taps serve it.
bool backward_by_tap_rows(const ConvShape& s) {
  const ConvShape turned = {.channels = s.outputs, .kernel_width = s.kernel_width};
  return tap_span(turned) > 1 && s.stride == 1 && s.kernel_height == s.kernel_width &&
         s.padding < s.kernel_width;
}

void backward_data_by_tap_rows(const ConvShape& s, const float* dy, const float* w, float* dx) {
  const int64_t taps = s.kernel_height * s.kernel_width;
  Scratch<> memory(taps * s.channels * s.outputs);
  float* turned = memory.data();
  for (int64_t t = 0; t < taps; ++t) {
    const float* from = w + (taps - 1 - t) * s.channels * s.outputs;
    for (int64_t k = 0; k < s.outputs; ++k) {
      for (int64_t c = 0; c < s.channels; ++c) *turned++ = from[c * s.outputs + k];
    }
  }
  conv_direct({.batch = s.batch,
               .height = s.out_height(),
               .width = s.out_width(),
               .channels = s.outputs,
               .kernel_height = s.kernel_height,
               .kernel_width = s.kernel_width,
               .outputs = s.channels,
               .padding = s.kernel_width - 1 - s.padding},
              dy, memory.data(), nullptr, dx);
}

}  // namespace

void conv_direct_backward_data(const ConvShape& s, const float* dy, const float* w, float* dx) {
  if (backward_by_tap_rows(s)) return backward_data_by_tap_rows(s, dy, w, dx);
  // dx[h] gathers dy[(h + padding - i) / stride] over the taps i that divide evenly: with
  // h = stride * u + phase those are dy[u + (phase + padding - i) / stride].
  for (int64_t py = 0; py < std::min(s.stride, s.height); ++py) {
    for (int64_t px = 0; px < std::min(s.stride, s.width); ++px) {
      Gather g;
      g.from_height = s.out_height(), g.from_width = s.out_width();
      g.from_stride = 1;
      g.to = dx;
      g.to_height = s.height, g.to_width = s.width, g.to_channels = s.channels;
      g.to_stride = s.stride, g.to_y = py, g.to_x = px;
      g.batch = s.batch;
      g.rows = ceil_div(s.height - py, s.stride), g.columns = ceil_div(s.width - px, s.stride);
      for (int64_t i = 0; i < s.kernel_height; ++i) {
        for (int64_t j = 0; j < s.kernel_width; ++j) {
          const int64_t y = py + s.padding - i, x = px + s.padding - j;
          if (y % s.stride != 0 || x % s.stride != 0) continue;
          const float* weights = w + (i * s.kernel_width + j) * s.channels * s.outputs;
          g.taps.push_back({y / s.stride, x / s.stride, weights, {dy, s.outputs, s.outputs}});
        }
      }
      g.weight_stride = s.outputs;
      g.weights_transposed = true;
      g.bias = nullptr;
      run_gather(g);
    }
  }
}

}  // namespace ddpm::cpu
