// The image is never rearranged. For each group of mr output pixels and each tap, a table says
// where the channels of the input pixel are, or points to a row of zeros for padding. The
// micro-kernel reads through these pointers.
//
// The reduction is cut into blocks of at most the kernel's depth: whole taps, or parts of one where
// there are many channels. Where it is cut depends on the layer alone. A task is a block of rows x
// a range of columns. It packs the weights of as many reduction blocks as fit in the second-level
// cache beside its other data. They are packed in panels of nr columns, at most 16 to 24 KiB each.
// Then it multiplies strips of some tens of rows by one panel after the other. So a panel is loaded
// into the first-level cache once for each strip, the inputs of the strip stay there, and its
// outputs are written side by side. While a 1x1 convolution multiplies by its first panel, it
// prefetches the rows of the next tile, which come from memory. Packing costs 1/rows of the
// arithmetic, so weights are never packed in advance.
#include "ddpm/kernels/cpu/conv/gather.h"

#include "ddpm/base/threads.h"
#include "ddpm/kernels/cpu/gemm/gemm_kernels.h"
#include "ddpm/kernels/cpu/work/tasks.h"

namespace ddpm::cpu {
namespace {

// The most rows of a task. With several taps it is half, because their tables take memory.
constexpr int64_t kTaskRows = 960;
// The fewest, where there are rows enough for all threads: fewer would not pay for packing.
constexpr int64_t kLeastTaskRows = 120;
// Packed weights of a task: 192 KiB.
constexpr int64_t kPackedFloats = 48 << 10;
// Groups of mr rows in a strip.
constexpr int64_t kStripGroups = 8;
// To fetch and pack a weight, in multiply-adds.
constexpr int64_t kWeightCost = 8;

// The error of a chain of n additions grows like sqrt(n) roundings. It is smaller where several
// shorter chains are added at the end. Each chain costs a load and a store of the outputs, so
// chains shorter than the least depth do not pay.
constexpr int64_t kAccuracyBlocks = 4, kLeastDepth = 128;

// One step of the reduction: some whole taps, or some channels of one tap.
struct Block {
  Range taps, channels;
  int64_t depth() const { return taps.size() * channels.size(); }
};

// The cuts depend on the layer alone, so that the additions of an output are always grouped in the
// same way.
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

// Calls visit(image, u, v) for output pixels [pixels) in order.
template <class Visit>
void for_each_pixel(const Gather& g, Range pixels, const Visit& visit) {
  int64_t v = pixels.begin % g.columns, u = pixels.begin / g.columns % g.rows;
  int64_t n = pixels.begin / g.columns / g.rows;
  for (int64_t i = 0; i < pixels.size(); ++i) {
    visit(n, u, v);
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

// Where output pixel (n, u, v) is written.
float* output_of(const Gather& g, int64_t n, int64_t u, int64_t v) {
  const int64_t y = u * g.to_stride + g.to_y, x = v * g.to_stride + g.to_x;
  return g.to + ((n * g.to_height + y) * g.to_width + x) * g.to_channels;
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

// The rows of a task: its output pixels in groups of at most mr, which differ by at most one.
class RowTable {
 public:
  RowTable(const Gather& g, int64_t mr, Range pixels, const float* zeros)
      : pointwise(g.pixel_to_pixel()),
        groups(ceil_div(pixels.size(), mr)),
        mr_(mr),
        taps_(static_cast<int64_t>(g.taps.size())),
        rows_(pixels.size() / groups),
        larger_(pixels.size() % groups),
        left_(groups * taps_ * mr),
        to_(groups * mr) {
    pointwise ? fill_pointwise(g, pixels) : fill(g, pixels, zeros);
  }

  // Groups [first, end), one below the other.
  RowGroups strip(int64_t first, int64_t end) const {
    return {.rows = (end - first) * rows_ + std::min(end, larger_) - std::min(first, larger_),
            .groups = end - first,
            .left_step = taps_ * mr_};
  }
  // The pointers of a group, [mr] each: where its rows read for a tap and the taps behind it, and
  // where they are written.
  const float* const* left(int64_t group, int64_t tap) const {
    return left_.data() + (group * taps_ + tap) * mr_;
  }
  float* const* to(int64_t group) const { return to_.data() + group * mr_; }

  const bool pointwise;
  const int64_t groups;

 private:
  // Steps from row to row in the order of the pixels.
  struct Place {
    int64_t group = 0, row = 0;
  };
  void next(Place& at) const {
    if (++at.row == rows_ + (at.group < larger_)) at.row = 0, ++at.group;
  }
  const float*& left_at(const Place& at, int64_t tap) {
    return left_.data()[(at.group * taps_ + tap) * mr_ + at.row];
  }
  float*& to_at(const Place& at) { return to_.data()[at.group * mr_ + at.row]; }

  void fill(const Gather& g, Range pixels, const float* zeros) {
    Place at;
    for_each_pixel(g, pixels, [&](int64_t n, int64_t u, int64_t v) {
      to_at(at) = output_of(g, n, u, v);
      for (int64_t t = 0; t < taps_; ++t) left_at(at, t) = tap_input(g, g.taps[t], n, u, v, zeros);
      next(at);
    });
  }
  void fill_pointwise(const Gather& g, Range pixels) {
    Place at;
    for (int64_t i = pixels.begin; i < pixels.end; ++i, next(at)) {
      to_at(at) = g.to + i * g.to_channels;
      for (int64_t t = 0; t < taps_; ++t) {
        left_at(at, t) = g.taps[t].from.data + i * g.taps[t].from.pitch;
      }
    }
  }

  int64_t mr_, taps_, rows_, larger_;
  Scratch<const float*> left_;  // [group][tap][mr]
  Scratch<float*> to_;          // [group][mr]
};

// Rows of groups [first, end) times reduction blocks [blocks) of panels [panels), packed [block]
// [panel].
void multiply_strip(const Gather& g, const GemmKernels& kernels, const RowTable& rows, Range groups,
                    const std::vector<Block>& blocks, Range some, Range panels,
                    const float* packed) {
  const RowGroups strip = rows.strip(groups.begin, groups.end);
  for (int64_t i = some.begin; i < some.end; ++i) {
    const Block& block = blocks[i];
    RowTile tile;
    tile.left = rows.left(groups.begin, block.taps.begin);
    tile.segments = block.taps.size();
    tile.length = block.channels.size();
    tile.offset = block.channels.begin;
    tile.b_stride = kernels.nr;
    for (int64_t p = panels.begin; p < panels.end; ++p, packed += block.depth() * kernels.nr) {
      const int64_t column = p * kernels.nr;
      tile.b = packed;
      tile.fetch = p == panels.begin && rows.pointwise;
      kernels.row_tiles(strip, tile,
                        {.rows = rows.to(groups.begin),
                         .columns = std::min(kernels.nr, g.to_channels - column),
                         .bias = i == 0 && g.bias ? g.bias + column : nullptr,
                         .accumulate = i > 0,
                         .offset = column});
    }
  }
}

// Computes output pixels [pixels) x panels [panels) of nr channels.
void gather_task(const Gather& g, const GemmKernels& kernels, const std::vector<Block>& blocks,
                 Range pixels, Range panels, const float* zeros) {
  const RowTable rows(g, kernels.mr, pixels, zeros);
  const int64_t width = panels.size() * kernels.nr, count = static_cast<int64_t>(blocks.size());
  Scratch<> packed(std::max(kPackedFloats, kernels.depth * width));
  for (int64_t first = 0, last = 0; first < count; first = last) {
    int64_t used = 0;
    do {
      pack_block(g, kernels, blocks[last], panels, packed.data() + used);
      used += blocks[last].depth() * width;
    } while (++last < count && used + blocks[last].depth() * width <= kPackedFloats);
    for (int64_t group = 0; group < rows.groups; group += kStripGroups) {
      multiply_strip(g, kernels, rows, {group, std::min(rows.groups, group + kStripGroups)}, blocks,
                     {first, last}, panels, packed.data());
    }
  }
}

// Outputs that no tap reaches.
void fill_bias(const Gather& g) {
  for_each_pixel(g, {0, g.batch * g.rows * g.columns}, [&](int64_t n, int64_t u, int64_t v) {
    float* to = output_of(g, n, u, v);
    for (int64_t k = 0; k < g.to_channels; ++k) {
      to[k] = g.bias ? g.bias[k] : 0.0f;
    }
  });
}

// How a gather is cut into tasks.
struct Tasks {
  int64_t rows, columns;  // tasks are their product
};

// Every thread gets several tasks, and all threads the same number. Rows are cut before columns
// where there are many rows.
Tasks cut_tasks(const Gather& g, const GemmKernels& kernels, int64_t pixels, int64_t depth) {
  const int64_t panels = ceil_div(g.to_channels, kernels.nr);
  const int64_t wanted = num_threads() == 1 ? 1 : 4 * num_threads();
  const int64_t most_rows = g.taps.size() > 1 ? kTaskRows / 2 : kTaskRows;
  int64_t rows = std::max(ceil_div(pixels, most_rows), std::min(wanted, pixels / kLeastTaskRows));
  int64_t columns = 1;
  if (rows < wanted) columns = std::min(panels, ceil_div(wanted, rows));
  columns =
      std::max(columns, std::min(panels, ceil_div(panels * kernels.nr * depth, kPackedFloats)));
  if (rows * columns < wanted) {
    const int64_t most = ceil_div(pixels, 8 * kernels.mr);
    rows = std::max(rows, std::min(most, ceil_div(wanted, columns)));
  }
  if (rows * columns > num_threads() && columns % num_threads() != 0) {
    rows = std::min(pixels, even_tasks(rows));
  }
  return {rows, columns};
}

}  // namespace

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
  const int64_t depth =
      std::clamp(ceil_div(reduction, kAccuracyBlocks), kLeastDepth, kernels.depth);
  const std::vector<Block> blocks = cut_reduction(g, depth);
  const Tasks tasks = cut_tasks(g, kernels, pixels, depth);
  Scratch<> zeros(most_channels);
  std::fill_n(zeros.data(), most_channels, 0.0f);
  const int64_t work = (pixels + kWeightCost) * reduction * g.to_channels;
  for_each_task(tasks.rows * tasks.columns, work, [&](int64_t task) {
    gather_task(g, kernels, blocks, piece(pixels, tasks.rows, task / tasks.columns),
                piece(ceil_div(g.to_channels, kernels.nr), tasks.columns, task % tasks.columns),
                zeros.data());
  });
}

}  // namespace ddpm::cpu
