#include "ddpm/nn/class_embedding.h"

#include <fmt/core.h>

#include "ddpm/autograd/functions.h"
#include "ddpm/base/error.h"
#include "ddpm/tensor/memory.h"

namespace ddpm {

void check_classes(int64_t classes) {
  if (classes >= 0 && classes <= kMostClasses) return;
  fail_usage("network",
             fmt::format("classes is {} but must lie between 0 and {}", classes, kMostClasses));
}

ClassEmbedding::ClassEmbedding(const Options& options, Device device)
    : weight_{
          .variable = Variable::leaf(Tensor::zeros({options.classes + 1, options.width}, device)),
          .init_deviation = 1} {
  add("weight", weight_);
}

Variable ClassEmbedding::operator()(const Tensor& labels) const {
  const int64_t classes = weight_.variable.shape()[0] - 1;
  if (labels.memory().holds_values()) {
    for (const float label : labels.values()) {
      if (label >= -1 && label < static_cast<float>(classes)) continue;
      fail("network", fmt::format("there is no class {}; of {} classes the first is 0, and -1 is "
                                  "no class",
                                  label, classes));
    }
  }
  return lookup(labels, weight_.variable);
}

}  // namespace ddpm
