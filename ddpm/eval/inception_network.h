// Inception-v3 (Szegedy et al. 2015, arXiv:1512.00567) as the Frechet Inception Distance uses it
// (Heusel et al. 2017, arXiv:1706.08500), up to its last pooling. Private to eval.
#pragma once

#include <memory>

#include "ddpm/eval/inception_layer.h"

namespace ddpm {

class InceptionNetwork {
 public:
  static constexpr int64_t kSide = 299, kFeatures = 2048;

  // Reads all layers. Names are those of torchvision's state dict.
  explicit InceptionNetwork(const StateDictSource& source);
  ~InceptionNetwork();
  // x [N, 299, 299, 3] in [-1, 1] -> [N, 2048]
  Tensor operator()(const Tensor& x) const;

 private:
  struct Layers;
  std::unique_ptr<const Layers> layers_;
};

}  // namespace ddpm
