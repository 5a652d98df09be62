#include "ddpm/nn/augment_embedding.h"

#include <cmath>

#include "ddpm/autograd/functions.h"

namespace ddpm {

AugmentEmbedding::AugmentEmbedding(const Options& options, Device device) {
  if (options.channels == 0) return;
  weight_ = {.variable = Variable::leaf(Tensor::zeros({options.channels, options.width}, device)),
             .init_bound = 1 / std::sqrt(static_cast<double>(options.channels))};
  add("weight", weight_);
}

Variable AugmentEmbedding::added_to(const Variable& embedding, const Tensor& augment) const {
  if (!augment.defined()) return embedding;
  return ddpm::add(embedding, linear(Variable(augment), weight_.variable, nullptr));
}

}  // namespace ddpm
