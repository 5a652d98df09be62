// Backward-weights convolution: dw[tap, c, k] = sum over output pixels p of x[pixel under tap, c]
// dy[p, k]. It is a transposed product. Its rows are (tap, c) and its columns are k, which is the
// layout of dw. Each step of the reduction over pixels reads mr channels of x and nr of dy.
//
// Blocking. Pixels are taken in blocks of up to the kernel's depth. The part of x that a block
// needs is copied into groups of mr channels, [group][pixel][mr]. The copy serves all taps (a tap
// is a table of pointers into it, with a row of zeros for padding) and all panels of dy, and it
// stays in the second-level cache. Without the copy, rows whose distance is a power of two would
// share a few sets of the first-level cache. dy is packed panel by panel into the first-level
// cache; packing also sums it for dbias. Meanwhile the lines of the next block are prefetched. With
// few channels a block has little work, and the next block would have to wait for its lines.
//
// A task is a range of channel groups x a chunk of the pixels. Chunks give a layer with few weights
// enough work for many threads. Their number depends on the problem only, and their partial sums
// are added in order, so results do not depend on the threads.
#include <algorithm>
#include <cstdint>

#include "ddpm/base/threads.h"
#include "ddpm/kernels/cpu/conv/conv.h"
#include "ddpm/kernels/cpu/conv/tap_rows.h"
#include "ddpm/kernels/cpu/gemm/gemm_kernels.h"
#include "ddpm/kernels/cpu/work/tasks.h"

namespace ddpm::cpu {
namespace {

constexpr int64_t kBlockFloats = 96 << 10;  // of the copy of x: 384 KiB
constexpr int64_t kTaskTiles = 64;          // (group, tap) pairs of a task at most
constexpr int64_t kTaskGroups = 8;          // of a task at least, since each task packs all of dy
constexpr int64_t kChunkPixels = 512;       // at least, so that adding up chunks stays cheap
constexpr int64_t kWantedTasks = 32;        // enough for the threads of most machines

struct Plan {
  int64_t pixels;               // the reduction: batch x P x Q
  int64_t span;                 // pixels that a tap reads (tap_rows.h)
  int64_t taps;                 // kh x kw / span
  int64_t channels;             // that a tap reads
  int64_t groups;               // of at most mr channels
  int64_t group_tasks, chunks;  // tasks are their product
  int64_t block_pixels;
};

Plan make_plan(const ConvShape& s, const GemmKernels& kernels) {
  Plan plan;
  plan.pixels = s.batch * s.out_height() * s.out_width();
  plan.span = tap_span(s);
  plan.taps = s.kernel_height * (s.kernel_width / plan.span);
  plan.channels = plan.span * s.channels;
  plan.groups = ceil_div(plan.channels, kernels.mr);
  const int64_t least = std::min(plan.groups, ceil_div(plan.groups * plan.taps, kTaskTiles));
  const int64_t most = std::max(least, plan.groups / kTaskGroups);
  plan.chunks = std::clamp<int64_t>(kWantedTasks / least, 1,
                                    std::max<int64_t>(1, plan.pixels / kChunkPixels));
  const int64_t tasks = num_threads() == 1 ? 1 : 2 * num_threads();
  plan.group_tasks = std::clamp(ceil_div(tasks, plan.chunks), least, most);
  const int64_t rest = plan.chunks * plan.group_tasks % num_threads();
  if (plan.chunks == 1 && plan.group_tasks - rest >= std::max<int64_t>(least, num_threads())) {
    plan.group_tasks -= rest;  // equally many for all threads
  }
  // Computed for the largest tasks, because the ends of blocks must not depend on the threads.
  const int64_t task_channels = ceil_div(plan.groups, least) * kernels.mr;
  plan.block_pixels =
      std::clamp<int64_t>(kBlockFloats / task_channels / s.stride / s.stride, 32, kernels.depth);
  return plan;
}

// Flat index of the input pixel under a tap for output pixels first, first + 1, ...; -1 outside.
void find_inputs(const ConvShape& s, int64_t span, int64_t tap, Range pixels, int64_t* inputs) {
  const int64_t columns = s.out_width(), rows = s.out_height();
  const int64_t first = tap * span;
  const int64_t dy = first / s.kernel_width - s.padding, dx = first % s.kernel_width - s.padding;
  int64_t v = pixels.begin % columns, u = pixels.begin / columns % rows;
  int64_t n = pixels.begin / columns / rows;
  for (int64_t i = 0; i < pixels.size(); ++i) {
    const int64_t h = u * s.stride + dy, w = v * s.stride + dx;
    const bool inside = h >= 0 && h < s.height && w >= 0 && w < s.width;
    inputs[i] = inside ? (n * s.height + h) * s.width + w : -1;
    if (++v == columns) {
      v = 0;
      if (++u == rows) u = 0, ++n;
    }
  }
}

// Some columns of some rows of a map.
struct Lines {
  const float* data = nullptr;
  int64_t stride = 0, columns = 0, rows = 0;
};

// What the next block will read, in this task or in the next one.
struct NextBlock {
  static constexpr int64_t kLine = 16;  // floats of a cache line
  // The part of a line's width that tile i prefetches: first of x, then of dy.
  Lines of_tile(int64_t i) const {
    const int64_t of_x = ceil_div(x.columns, kLine);
    const Lines& from = i < of_x ? x : dy;
    const int64_t first = (i < of_x ? i : i - of_x) * kLine;
    return first < from.columns ? Lines{from.data + first, from.stride, kLine, from.rows} : Lines{};
  }
  Lines x, dy;
};

// One layer, and the part of it that a task computes.
struct Task {
  const ConvShape& s;
  const GemmKernels& kernels;
  const Plan& plan;
  const float* x;
  const float* dy;
  Range groups;  // of channels
  float* dw;
  float* sums;  // the chunk's share of dbias, or null

  // Channels of a group.
  Range channels(int64_t group) const { return piece(plan.channels, plan.groups, group); }
};

// The input pixels that the taps of a block touch. index[tap][pixel] says which, taps
// plan.block_pixels apart.
Range find_stretch(const Task& task, Range pixels, int64_t* index) {
  int64_t first = INT64_MAX, last = -1;
  for (int64_t tap = 0; tap < task.plan.taps; ++tap) {
    int64_t* inputs = index + tap * task.plan.block_pixels;
    find_inputs(task.s, task.plan.span, tap, pixels, inputs);
    for (int64_t i = 0; i < pixels.size(); ++i) {
      if (inputs[i] >= 0) first = std::min(first, inputs[i]), last = std::max(last, inputs[i]);
    }
  }
  return last < 0 ? Range{0, 0} : Range{first, last + 1};
}

// A group's copy of the input: a row of zeros, then the pixels, mr channels each.
int64_t copy_floats(const Task& task, Range stretch) {
  return (1 + stretch.size()) * task.kernels.mr;
}

void copy_stretch(const Task& task, Range stretch, float* copy) {
  const int64_t mr = task.kernels.mr;
  for (int64_t g = task.groups.begin; g < task.groups.end; ++g) {
    const Range channels = task.channels(g);
    float* to = copy + (g - task.groups.begin) * copy_floats(task, stretch);
    std::fill_n(to, mr, 0.0f);
    if (stretch.size() == 0) continue;
    task.kernels.pack_rows(task.x + stretch.begin * task.s.channels + channels.begin,
                           task.s.channels, stretch.size(), channels.size(), to + mr);
  }
}

// Turns the indices of input pixels into pointers to them in the first group's copy.
void fill_table(const Task& task, Range pixels, Range stretch, const int64_t* index,
                const float* copy, const float** table) {
  for (int64_t tap = 0; tap < task.plan.taps; ++tap) {
    for (int64_t i = 0; i < pixels.size(); ++i) {
      const int64_t at = tap * task.plan.block_pixels + i;
      table[at] = copy + (index[at] < 0 ? 0 : index[at] - stretch.begin + 1) * task.kernels.mr;
    }
  }
}

NextBlock next_block(const Task& task, Range pixels, Range stretch) {
  const ConvShape& s = task.s;
  const int64_t first = task.channels(task.groups.begin).begin;
  return {.x = {.data = task.x + stretch.end * s.channels + first,
                .stride = s.channels,
                .columns = task.channels(task.groups.end - 1).end - first,
                .rows = std::min(pixels.size(), s.batch * s.height * s.width - stretch.end)},
          .dy = {.data = task.dy + pixels.end * s.outputs,
                 .stride = s.outputs,
                 .columns = s.outputs,
                 .rows = std::min(pixels.size(), task.plan.pixels - pixels.end)}};
}

// dw of all taps and panels over the pixels of one block.
void multiply_block(const Task& task, Range pixels, const float* const* table, int64_t copy_stride,
                    const NextBlock& next, bool accumulate) {
  const int64_t nr = task.kernels.nr, outputs = task.s.outputs;
  alignas(64) float panel[kMaxPanelFloats];
  int64_t tile = 0;
  for (int64_t column = 0; column < outputs; column += nr) {
    const int64_t columns = std::min(nr, outputs - column);
    task.kernels.pack(task.dy + pixels.begin * outputs + column, outputs, pixels.size(), columns,
                      panel, task.sums ? task.sums + column : nullptr);
    for (int64_t g = task.groups.begin; g < task.groups.end; ++g) {
      const Range channels = task.channels(g);
      for (int64_t tap = 0; tap < task.plan.taps; ++tap) {
        float* to[kMaxTileRows];
        for (int64_t r = 0; r < channels.size(); ++r) {
          to[r] = task.dw + (tap * task.plan.channels + channels.begin + r) * outputs + column;
        }
        const Lines ahead = next.of_tile(tile++);
        task.kernels.column_tile(channels.size(),
                                 {.left = table + tap * task.plan.block_pixels,
                                  .depth = pixels.size(),
                                  .offset = (g - task.groups.begin) * copy_stride,
                                  .b = panel,
                                  .ahead = ahead.data,
                                  .ahead_stride = ahead.stride,
                                  .ahead_count = ahead.rows},
                                 {.rows = to, .columns = columns, .accumulate = accumulate});
      }
    }
  }
}

// dw and sums over the pixels of one chunk.
void run_task(const Task& task, Range chunk) {
  const Plan& plan = task.plan;
  const int64_t blocks = ceil_div(chunk.size(), plan.block_pixels);
  Scratch<const float*> table(plan.taps * plan.block_pixels);
  Scratch<int64_t> index(plan.taps * plan.block_pixels);
  for (int64_t b = 0; b < blocks; ++b) {
    Range pixels = piece(chunk.size(), blocks, b);
    pixels.begin += chunk.begin, pixels.end += chunk.begin;
    const Range stretch = find_stretch(task, pixels, index.data());
    const int64_t copy_stride = copy_floats(task, stretch);
    Scratch<> copy(task.groups.size() * copy_stride + kPackRowsSlack);
    fill_table(task, pixels, stretch, index.data(), copy.data(), table.data());
    copy_stretch(task, stretch, copy.data());
    multiply_block(task, pixels, table.data(), copy_stride, next_block(task, pixels, stretch),
                   b > 0);
  }
}

}  // namespace

void conv_direct_backward_weights(const ConvShape& shape, const float* x, const float* dy,
                                  float* dw, float* dbias) {
  const GemmKernels& kernels = gemm_kernels();
  const TapImage image(shape, x);
  const ConvShape& s = image.shape();
  const Plan plan = make_plan(s, kernels);
  const int64_t weights = plan.taps * plan.channels * s.outputs;
  if (plan.pixels <= 0 || s.outputs <= 0 || weights <= 0) {
    std::fill_n(dw, std::max<int64_t>(weights, 0), 0.0f);
    if (dbias) std::fill_n(dbias, s.outputs, 0.0f);
    return;
  }
  const int64_t padded_outputs = ceil_div(s.outputs, kernels.nr) * kernels.nr;
  const int64_t partial_stride = ceil_div(weights, 16) * 16;
  Scratch<> partial_memory(plan.chunks > 1 ? plan.chunks * partial_stride : 0);
  Scratch<> sums_memory(plan.chunks * padded_outputs);
  float* sums = sums_memory.data();
  float* partial = plan.chunks > 1 ? partial_memory.data() : dw;
  std::fill_n(sums, plan.chunks * padded_outputs, 0.0f);
  for_each_task(plan.chunks * plan.group_tasks, plan.pixels * weights, [&](int64_t task) {
    const int64_t chunk = task / plan.group_tasks, part = task % plan.group_tasks;
    run_task({.s = s,
              .kernels = kernels,
              .plan = plan,
              .x = image.data(),
              .dy = dy,
              .groups = piece(plan.groups, plan.group_tasks, part),
              .dw = partial + chunk * partial_stride,
              .sums = dbias && part == 0 ? sums + chunk * padded_outputs : nullptr},
             piece(plan.pixels, plan.chunks, chunk));
  });
  if (plan.chunks > 1) add_parts(partial, plan.chunks, partial_stride, weights, dw);
  if (dbias) add_parts(sums, plan.chunks, padded_outputs, s.outputs, dbias);
}

}  // namespace ddpm::cpu
