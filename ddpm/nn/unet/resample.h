// Layers that halve or double the sides of an image.
#pragma once

#include "ddpm/nn/layers.h"

namespace ddpm {

// Moves each cell of size x size positions into channels:
// [N, H, W, C] -> [N, H/size, W/size, C size^2].
class SpaceToDepth : public Module {
 public:
  explicit SpaceToDepth(int64_t size) : size_(size) {}
  Variable operator()(const Variable& x) const { return space_to_depth(x, size_); }

 private:
  int64_t size_;
};

struct ResampleOptions {
  int64_t in_channels = 0;
  int64_t out_channels = 0;
};

// Doubles the sides by nearest neighbour, then a 3x3 convolution ("1"):
// [N, H, W, in] -> [N, 2H, 2W, out].
class Upsample : public Module {
 public:
  Upsample(const ResampleOptions& options, Device device);
  Variable operator()(const Variable& x) const { return conv_(upsample_nearest(x)); }

 private:
  Conv2d conv_;
};

// SpaceToDepth(2), then a 1x1 convolution ("1"): [N, H, W, in] -> [N, H/2, W/2, out].
class Downsample : public Module {
 public:
  Downsample(const ResampleOptions& options, Device device);
  Variable operator()(const Variable& x) const { return conv_(space_to_depth_(x)); }

 private:
  SpaceToDepth space_to_depth_{2};
  Conv2d conv_;
};

}  // namespace ddpm
