// The animation of ddpm sample --trajectory.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ddpm/data/pixels.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm::cli {

// The frames of the animation: the noise, then the states after evenly chosen steps, including the
// last one. Batches arrive one after the other and fill their own rows.
class Trajectory {
 public:
  // images: [N, H, W, C]
  Trajectory(int64_t steps, Shape images);
  // How many frames there are for so many steps.
  static int64_t frames(int64_t steps);
  // x [N, H, W, C] holds the images begin ... begin + N - 1 after a step (0: the noise).
  void add(int64_t step, int64_t begin, const Tensor& x);
  // A WebP file.
  std::string encode(const GridOptions& grid) const;

 private:
  std::vector<int64_t> steps_;
  // Bytes, each [N, H, W, C].
  std::vector<Tensor> frames_;
};

}  // namespace ddpm::cli
