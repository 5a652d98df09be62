// U, the transformed weights of a pass: made for one slab of channels and one panel of outputs at a
// time, or for all at once.
#pragma once

#include <cstdint>
#include <vector>

#include "ddpm/kernels/cpu/winograd/kernels.h"
#include "ddpm/kernels/cpu/winograd/tiles.h"
#include "ddpm/kernels/cpu/winograd/winograd.h"
#include "ddpm/kernels/cpu/work/tasks.h"

namespace ddpm::cpu {

// What a pass multiplies its input by.
struct PassWeights {
  int64_t channels;  // of the pass's input
  int64_t outputs;
  WinogradWeights weights;
  // False: weights [3, 3, channels, outputs]. True: [3, 3, outputs, channels], to be turned by half
  // a circle and transposed.
  bool backward;
};

// U of a panel, slab after slab: up to `size` blocks of channels whose products with V are summed
// before they are written.
struct Slabs {
  Slabs(const WinogradKernels& kernels, const Blocks& channel_blocks);
  Range operator[](int64_t i) const { return {i * size, std::min(blocks, (i + 1) * size)}; }

  int64_t blocks, size, count;
  int64_t floats, panel_floats;
};

class WeightTransform {
 public:
  WeightTransform(int64_t m, const PassWeights& weights);

  const Slabs& slabs() const { return slabs_; }
  int64_t panels() const;
  // Floats of U in all, [panel][slab].
  int64_t floats() const { return panels() * slabs_.panel_floats; }
  // Makes all of it, on all threads.
  void all(float* u) const;

  // Slabs whose weights are copied together, and the floats of the copy.
  int64_t staged_slabs() const;
  int64_t staged_floats() const;
  // The weights of a panel and some slabs side by side: taps[tap][channel][nr].
  void stage(int64_t panel, Range slabs, float* taps) const;
  // U of one of these slabs.
  void transform(int64_t panel, Range staged, int64_t slab, const float* taps, float* u) const;

 private:
  Range channels_of(Range slabs) const {
    return blocks_.channels({slabs_[slabs.begin].begin, slabs_[slabs.end - 1].end});
  }
  WeightScaling scaling(int64_t panel, int64_t channel) const;

  PassWeights pass_;
  const WinogradKernels& kernels_;
  int64_t nr_;
  Blocks blocks_;
  Slabs slabs_;
  std::vector<float> mean_, rstd_;  // by output, as many as the panels have columns
};

// U as a task needs it, one panel and slab after the other. It is read from `all` where all of U
// was made before. Otherwise it is made here, used and dropped.
class TaskWeights {
 public:
  // all: U as WeightTransform::all makes it, or null. Both must outlive this.
  TaskWeights(const WeightTransform& transform, const float* all);
  // How many slabs of a panel to go through before the next panel.
  int64_t slabs_at_once() const {
    return all_ ? transform_.slabs().count : transform_.staged_slabs();
  }
  void begin(int64_t panel, Range slabs);
  // U of a slab of those begun with; valid until the next call.
  const float* of(int64_t slab);

 private:
  const WeightTransform& transform_;
  const float* all_;
  int64_t panel_ = 0;
  Range slabs_ = {0, 0};
  Scratch<> taps_, made_;
};

}  // namespace ddpm::cpu
