// Networks that turn pictures into vectors. Distributions of pictures are compared by the
// distributions of these vectors.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "ddpm/tensor/tensor.h"

namespace ddpm {

class FeatureNetwork {
 public:
  virtual ~FeatureNetwork() = default;

  // "random-v1", "classifier-<hash>", "inception-v3-<hash>". Figures can be compared only if they
  // come from networks with the same name.
  virtual std::string name() const = 0;
  // The number of features of a picture.
  virtual int64_t width() const = 0;
  // images: bytes [N, H, W, C] of any size with 1, 3 or 4 channels. Grey becomes three equal
  // channels, and transparent pixels are composited on white. Returns float32 [N, width]. The
  // features of a picture do not depend on the other pictures, nor on the number of threads. The
  // memory that this needs does not grow with N, except for the result. Throws Error for a tensor
  // of another kind.
  virtual Tensor operator()(const Tensor& images) const = 0;
};

// A fixed convolutional network with random weights, which gives the same bits on every machine.
// 256 features. See random_features.cpp.
std::unique_ptr<FeatureNetwork> random_features();

}  // namespace ddpm
