// The network of the classifier. Private to eval.
#pragma once

#include <cstdint>

#include "ddpm/nn/layers.h"

namespace ddpm {

// Five convolutions. The first, third and fourth halve the map, and the fifth covers all that is
// left of it, so that places count. Group norms and SiLU in between.
class ClassifierNetwork : public Module {
 public:
  static constexpr int64_t kSide = 32, kFeatures = 64;

  explicit ClassifierNetwork(int64_t classes);
  // x [N, 32, 32, 3] in [-1, 1] -> [N, 1, 1, 64]
  Variable features(const Variable& x) const;
  // [N, 1, 1, 64] -> [N, 1, 1, classes]
  Variable logits(const Variable& features) const { return last_(features); }

 private:
  Conv2d conv1_, conv2_, conv3_, conv4_, whole_, last_;
  GroupNorm norm1_, norm2_, norm3_, norm4_;
};

}  // namespace ddpm
