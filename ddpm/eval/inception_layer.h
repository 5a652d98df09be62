// The parts that Inception-v3 is made of, for inference only. Maps are float32 [N, H, W, C].
// Private to eval.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "ddpm/io/layout.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm {

// Gives a tensor of a state dict in our order of axes. `shape` is in PyTorch's order.
using StateDictSource =
    std::function<Tensor(const std::string& name, const Shape& shape, Layout layout)>;

struct InceptionConv {
  int64_t in = 0, out = 0;
  int64_t kernel_height = 1, kernel_width = 1;
  int64_t stride = 1;
  // Zeros above and below, left and right.
  int64_t pad_rows = 0, pad_columns = 0;
};

// A convolution without bias, batch normalisation with eps 0.001, and ReLU. The normalisation is
// folded into the weights. Safe to use from several threads.
class InceptionLayer {
 public:
  // Reads NAME.conv.weight and NAME.bn.{weight, bias, running_mean, running_var}. Throws Error if
  // they give a weight that is not finite.
  InceptionLayer(const StateDictSource& source, const std::string& name,
                 const InceptionConv& shape);
  // Within an Inference scope, transformed weights are kept.
  Tensor operator()(const Tensor& x) const;

 private:
  InceptionConv shape_;
  Tensor weights_, bias_;
};

// 3x3 pooling. kMaximum with stride 2 and no padding, or with stride 1 and padding 1; kMean with
// stride 1 and padding 1. Padding does not count: a mean is over the pixels inside the map.
enum class InceptionPool { kMaximumHalving, kMaximum, kMean };
Tensor inception_pool(InceptionPool kind, const Tensor& x);

// [N, H, W, C] -> [N, C], the mean over the positions.
Tensor mean_over_positions(const Tensor& x);

// Maps of the same extents, one after the other along the channels.
Tensor concat_maps(const std::vector<Tensor>& maps);

// Bytes [N, H, W, C] -> float32 [N, side, side, 3] in [-1, 1], by bilinear interpolation between
// the four nearest pixels, whatever the scale: PyTorch's interpolate() with mode "bilinear",
// align_corners false and antialias false.
Tensor bilinear_pictures(const Tensor& images, int64_t side);

}  // namespace ddpm
