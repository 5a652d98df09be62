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

TimeMlp::TimeMlp(int64_t dim, Device device)
    : embedding_(dim),
      linear1_({.in_features = dim, .out_features = 4 * dim}, device),
      linear3_({.in_features = 4 * dim, .out_features = 4 * dim}, device) {
  add("1", linear1_);
  add("3", linear3_);
}

Variable TimeMlp::operator()(const Tensor& t) const {
  return linear3_(activation(Activation::kGelu, linear1_(Variable(embedding_(t)))));
}

}  // namespace ddpm::tutorial
