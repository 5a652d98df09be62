// Backward-weights convolution: dw[tap, c, k] = sum over output pixels p of x[pixel under tap, c]
// dy[p, k]. It is a transposed product whose rows are (tap, c) and whose columns are k, the layout
// of dw itself; the reduction over pixels reads, for each p, mr consecutive channels of x and nr of
// dy. x stays where it is (one pointer per pixel and tap, a row of zeros for padding), dy is packed
// panel by panel, which also sums it for dbias.
//
// Blocking. Pixels are taken in blocks of kBlockPixels: a packed panel of dy stays in the
// first-level cache while all rows of the task pass over it, the block of x in the second-level
// cache while all panels pass. A task is a range of (tap, c) groups x a chunk of the pixels. Chunks
// exist so that a layer with few weights still has work for many threads; their number depends on
// the problem only, and their partial sums are added in order, so results do not depend on the
// threads.
#include <algorithm>
#include <cstring>

#include "ddpm/kernels/cpu/conv.h"
#include "ddpm/kernels/cpu/gemm_kernels.h"
#include "ddpm/kernels/cpu/tasks.h"

namespace ddpm::cpu {
namespace {

constexpr int64_t kBlockPixels = 192;
constexpr int64_t kTaskGroups = 48;    // rows of mr per task: packing dy costs about 1/150 of it
constexpr int64_t kWantedTasks = 32;   // enough for the threads of most machines
constexpr int64_t kChunkPixels = 768;  // at least, so that adding up chunks stays cheap
static_assert(kBlockPixels <= kMaxDepth);

struct Plan {
  int64_t pixels;          // the reduction: batch x P x Q
  int64_t taps;            // kh x kw
  int64_t groups_per_tap;  // of at most mr channels
  int64_t group_tasks, chunks;
};

Plan make_plan(const ConvShape& s, const GemmKernels& kernels) {
  Plan plan;
  plan.pixels = s.batch * s.out_height() * s.out_width();
  plan.taps = s.kernel_height * s.kernel_width;
  plan.groups_per_tap = ceil_div(s.channels, kernels.mr);
  plan.group_tasks = ceil_div(plan.taps * plan.groups_per_tap, kTaskGroups);
  plan.chunks = std::clamp<int64_t>(kWantedTasks / plan.group_tasks, 1,
                                    std::max<int64_t>(1, plan.pixels / kChunkPixels));
  return plan;
}

// inputs[i] = the channels under a tap for output pixel first + i, or zeros.
void find_inputs(const ConvShape& s, const float* x, int64_t tap, Range pixels, const float* zeros,
                 const float** inputs) {
  const int64_t columns = s.out_width(), rows = s.out_height();
  const int64_t dy = tap / s.kernel_width - s.padding, dx = tap % s.kernel_width - s.padding;
  int64_t v = pixels.begin % columns, u = pixels.begin / columns % rows;
  int64_t n = pixels.begin / columns / rows;
  for (int64_t i = 0; i < pixels.size(); ++i) {
    const int64_t h = u * s.stride + dy, w = v * s.stride + dx;
    const bool inside = h >= 0 && h < s.height && w >= 0 && w < s.width;
    inputs[i] = inside ? x + ((n * s.height + h) * s.width + w) * s.channels : zeros;
    if (++v == columns) {
      v = 0;
      if (++u == rows) u = 0, ++n;
    }
  }
}

// dw (and the task's share of dbias, where sums is not null) over the pixels of one chunk, for
// groups [groups) of (tap, channels).
void weights_task(const ConvShape& s, const GemmKernels& kernels, const Plan& plan, const float* x,
                  const float* dy, Range chunk, Range groups, const float* zeros, float* dw,
                  float* sums) {
  const int64_t nr = kernels.nr, panels = ceil_div(s.outputs, nr);
  const int64_t first_tap = groups.begin / plan.groups_per_tap;
  const int64_t last_tap = (groups.end - 1) / plan.groups_per_tap;
  Scratch inputs_memory((last_tap - first_tap + 1) * kBlockPixels *
                        static_cast<int64_t>(sizeof(float*)));
  const float** inputs = inputs_memory.as<const float*>();
  alignas(64) float panel[kMaxPanelFloats];
  const int64_t blocks = ceil_div(chunk.size(), kBlockPixels);
  for (int64_t b = 0; b < blocks; ++b) {
    Range pixels = piece(chunk.size(), blocks, b);
    pixels.begin += chunk.begin, pixels.end += chunk.begin;
    for (int64_t tap = first_tap; tap <= last_tap; ++tap) {
      find_inputs(s, x, tap, pixels, zeros, inputs + (tap - first_tap) * kBlockPixels);
    }
    for (int64_t p = 0; p < panels; ++p) {
      const int64_t column = p * nr, columns = std::min(nr, s.outputs - column);
      kernels.pack(dy + pixels.begin * s.outputs + column, s.outputs, pixels.size(), columns, panel,
                   sums ? sums + column : nullptr);
      for (int64_t group = groups.begin; group < groups.end; ++group) {
        const int64_t tap = group / plan.groups_per_tap;
        const Range channels = piece(s.channels, plan.groups_per_tap, group % plan.groups_per_tap);
        float* to[kMaxTileRows];
        for (int64_t r = 0; r < channels.size(); ++r) {
          to[r] = dw + (tap * s.channels + channels.begin + r) * s.outputs + column;
        }
        kernels.column_tile(channels.size(),
                            {.left = inputs + (tap - first_tap) * kBlockPixels,
                             .depth = pixels.size(),
                             .offset = channels.begin,
                             .b = panel},
                            {.rows = to, .columns = columns, .accumulate = b > 0});
      }
    }
  }
}

// total[i] = sum over chunks, in order.
void add_chunks(const float* partial, int64_t chunks, int64_t stride, int64_t count, float* total) {
  constexpr int64_t kPiece = 4096;
  for_each_task(ceil_div(count, kPiece), [&](int64_t task) {
    const int64_t begin = task * kPiece, end = std::min(count, begin + kPiece);
    for (int64_t i = begin; i < end; ++i) total[i] = partial[i];
    for (int64_t c = 1; c < chunks; ++c) {
      for (int64_t i = begin; i < end; ++i) total[i] += partial[c * stride + i];
    }
  });
}

}  // namespace

void conv_direct_backward_weights(const ConvShape& s, const float* x, const float* dy, float* dw,
                                  float* dbias) {
  const GemmKernels& kernels = gemm_kernels();
  const Plan plan = make_plan(s, kernels);
  const int64_t weights = plan.taps * s.channels * s.outputs;
  if (plan.pixels <= 0 || s.outputs <= 0 || weights <= 0) {
    std::fill_n(dw, std::max<int64_t>(weights, 0), 0.0f);
    if (dbias) std::fill_n(dbias, s.outputs, 0.0f);
    return;
  }
  const int64_t padded_outputs = ceil_div(s.outputs, kernels.nr) * kernels.nr;
  const int64_t partial_stride = ceil_div(weights, 16) * 16;
  Scratch zeros_memory(s.channels * 4);
  Scratch partial_memory(plan.chunks > 1 ? plan.chunks * partial_stride * 4 : 0);
  Scratch sums_memory(plan.chunks * padded_outputs * 4);
  float* zeros = zeros_memory.as<float>();
  float* sums = sums_memory.as<float>();
  float* partial = plan.chunks > 1 ? partial_memory.as<float>() : dw;
  std::fill_n(zeros, s.channels, 0.0f);
  std::fill_n(sums, plan.chunks * padded_outputs, 0.0f);
  const int64_t groups = plan.taps * plan.groups_per_tap;
  for_each_task(plan.chunks * plan.group_tasks, [&](int64_t task) {
    const int64_t chunk = task / plan.group_tasks, part = task % plan.group_tasks;
    weights_task(s, kernels, plan, x, dy, piece(plan.pixels, plan.chunks, chunk),
                 piece(groups, plan.group_tasks, part), zeros, partial + chunk * partial_stride,
                 dbias && part == 0 ? sums + chunk * padded_outputs : nullptr);
  });
  if (plan.chunks > 1) add_chunks(partial, plan.chunks, partial_stride, weights, dw);
  if (dbias) add_chunks(sums, plan.chunks, padded_outputs, s.outputs, dbias);
}

}  // namespace ddpm::cpu
