#include "ddpm/nn/tutorial/time_embedding.h"

#include <fmt/core.h>

#include "ddpm/base/error.h"

namespace ddpm::tutorial {

SinusoidalPositionEmbedding::SinusoidalPositionEmbedding(int64_t dim) : dim_(dim) {
  if (dim < 2 || dim % 2 != 0) {
    fail_usage("time embedding",
               fmt::format("its width (dim) is {} but must be even and at least 2; {} would work",
                           dim, dim < 2 ? 2 : dim + 1));
  }
}

Tensor SinusoidalPositionEmbedding::operator()(const Tensor& t) const {
  if (t.shape().rank() != 1)
    fail("time embedding", fmt::format("t must be [N] but is {}", t.shape().str()));
  return sinusoidal_embedding(t, dim_);
}

TimeMlp::TimeMlp(const Options& options, Device device)
    : embedding_(options.dim),
      augment_({.channels = options.augment_channels, .width = options.dim}, device),
      linear1_({.in_features = options.dim, .out_features = 4 * options.dim}, device),
      linear3_({.in_features = 4 * options.dim, .out_features = 4 * options.dim}, device) {
  add("map_augment", augment_);
  add("1", linear1_);
  add("3", linear3_);
}

Variable TimeMlp::operator()(const Tensor& t, const Tensor& augment) const {
  const Variable embedded = augment_.added_to(Variable(embedding_(t)), augment);
  return linear3_(activation(Activation::kGelu, linear1_(embedded)));
}

}  // namespace ddpm::tutorial
