// A row of weights for one panel is only a cache line or two. So the weights of some slabs are
// first copied, row by row, and transformed from the copy.
#include "ddpm/kernels/cpu/winograd/weight_transform.h"

#include <algorithm>

#include "ddpm/kernels/cpu/gemm/gemm_kernels.h"

namespace ddpm::cpu {
namespace {

// Blocks of channels whose weights are staged at once. Backward, channels lie side by side.
constexpr int64_t kStagedBlocks = 4, kStagedBlocksBackward = 16;

}  // namespace

Slabs::Slabs(const WinogradKernels& kernels, const Blocks& channel_blocks)
    : blocks(channel_blocks.count),
      size(kernels.slab),
      count(ceil_div(blocks, size)),
      floats(kernels.u_size(size)),
      panel_floats((count - 1) * floats + kernels.u_size(blocks - (count - 1) * size)) {}

WeightTransform::WeightTransform(int64_t m, const PassWeights& weights)
    : pass_(weights),
      kernels_(winograd_kernels(m)),
      nr_(gemm_kernels().nr),
      blocks_(weights.channels, kernels_.block),
      slabs_(kernels_, blocks_) {
  const WinogradWeights& w = weights.weights;
  if (!w.mean || weights.backward) return;
  mean_.resize(panels() * nr_), rstd_.resize(panels() * nr_);
  std::copy_n(w.mean, weights.outputs, mean_.data());
  std::copy_n(w.rstd, weights.outputs, rstd_.data());
}

int64_t WeightTransform::panels() const { return ceil_div(pass_.outputs, nr_); }

int64_t WeightTransform::staged_slabs() const {
  return (pass_.backward ? kStagedBlocksBackward : kStagedBlocks) / slabs_.size;
}

int64_t WeightTransform::staged_floats() const {
  return 9 * staged_slabs() * slabs_.size * kernels_.block * nr_;
}

void WeightTransform::stage(int64_t panel, Range slabs, float* taps) const {
  const GemmKernels& gemm = gemm_kernels();
  const float* w = pass_.weights.w;
  const Range channels = channels_of(slabs);
  const int64_t column = panel * nr_, columns = std::min(nr_, pass_.outputs - column);
  for (int64_t tap = 0; tap < 9; ++tap, taps += channels.size() * nr_) {
    if (pass_.backward) {
      gemm.pack_transposed(
          w + ((8 - tap) * pass_.outputs + column) * pass_.channels + channels.begin,
          pass_.channels, channels.size(), columns, taps);
    } else {
      gemm.pack(w + (tap * pass_.channels + channels.begin) * pass_.outputs + column, pass_.outputs,
                channels.size(), columns, taps, nullptr);
    }
  }
}

void WeightTransform::transform(int64_t panel, Range staged, int64_t slab, const float* taps,
                                float* u) const {
  const Range all = channels_of(staged), channels = channels_of({slab, slab + 1});
  if (channels.size() % kernels_.block != 0) {
    std::fill_n(u, kernels_.u_size(ceil_div(channels.size(), kernels_.block)), 0.0f);
  }
  kernels_.weights(taps + (channels.begin - all.begin) * nr_, all.size() * nr_, channels.size(),
                   scaling(panel, channels.begin), u);
}

WeightScaling WeightTransform::scaling(int64_t panel, int64_t channel) const {
  const WinogradWeights& w = pass_.weights;
  if (!w.mean) return {};
  if (pass_.backward) return {w.mean + channel, w.rstd + channel, true};
  return {mean_.data() + panel * nr_, rstd_.data() + panel * nr_};
}

void WeightTransform::all(float* u) const {
  const int64_t staged = staged_slabs(), parts = ceil_div(slabs_.count, staged);
  for_each_task(panels() * parts, [&](int64_t task) {
    const int64_t panel = task / parts, begin = task % parts * staged;
    const Range slabs = {begin, std::min(slabs_.count, begin + staged)};
    Scratch<> taps(staged_floats());
    stage(panel, slabs, taps.data());
    for (int64_t i = slabs.begin; i < slabs.end; ++i) {
      transform(panel, slabs, i, taps.data(), u + panel * slabs_.panel_floats + i * slabs_.floats);
    }
  });
}

TaskWeights::TaskWeights(const WeightTransform& transform, const float* all)
    : transform_(transform),
      all_(all),
      taps_(all ? 0 : transform.staged_floats()),
      made_(all ? 0 : transform.slabs().floats) {}

void TaskWeights::begin(int64_t panel, Range slabs) {
  panel_ = panel, slabs_ = slabs;
  if (!all_) transform_.stage(panel, slabs, taps_.data());
}

const float* TaskWeights::of(int64_t slab) {
  const Slabs& slabs = transform_.slabs();
  if (all_) return all_ + panel_ * slabs.panel_floats + slab * slabs.floats;
  transform_.transform(panel_, slabs_, slab, taps_.data(), made_.data());
  return made_.data();
}

}  // namespace ddpm::cpu
