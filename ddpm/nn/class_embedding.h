// The embedding of a picture's class. Any family may have one. It adds the result to its time
// embedding.
#pragma once

#include <cstdint>

#include "ddpm/nn/module.h"

namespace ddpm {

// The most classes that a network may have.
inline constexpr int64_t kMostClasses = 1 << 14;
// Throws UsageError for a number of classes that no network may have.
void check_classes(int64_t classes);

// weight [classes + 1, width]: a row for each class, then one for "no class". The layer is called
// "class_embedding" in a network, as in diffusers. Initial values are PyTorch's.
class ClassEmbedding : public Module {
 public:
  struct Options {
    int64_t classes = 0;
    int64_t width = 0;
  };
  ClassEmbedding(const Options& options, Device device);
  // labels [N], -1 for no class -> [N, width]. Throws Error for a label of no class.
  Variable operator()(const Tensor& labels) const;

 private:
  Parameter weight_;
};

}  // namespace ddpm
