#include "ddpm/nn/lucidrains/time_embedding.h"

namespace ddpm::lucidrains {
namespace {

// Of the embedding before the linear layers.
int64_t embedding_width(const UnetConfig& config) {
  return config.fourier() ? config.learned_sinusoidal_dim + 1 : config.dim;
}

}  // namespace

FourierEmbedding::FourierEmbedding(int64_t dim, bool trained, Device device) {
  const Tensor zeros = Tensor::zeros({dim / 2}, device);
  weights_ = {.variable = trained ? Variable::leaf(zeros) : Variable(zeros), .init_deviation = 1};
  add("weights", weights_);
}

TimeMlp::TimeMlp(const UnetConfig& config, Device device)
    : dim_(config.dim),
      theta_(config.theta),
      augment_({.channels = config.augment_channels, .width = embedding_width(config)}, device),
      linear1_({.in_features = embedding_width(config), .out_features = 4 * config.dim}, device),
      linear3_({.in_features = 4 * config.dim, .out_features = 4 * config.dim}, device) {
  if (config.fourier()) {
    fourier_ = std::make_unique<FourierEmbedding>(config.learned_sinusoidal_dim,
                                                  !config.random_fourier_features, device);
    add("0", *fourier_);
  }
  add("map_augment", augment_);
  add("1", linear1_);
  add("3", linear3_);
}

Variable TimeMlp::operator()(const Tensor& t, const Tensor& augment) const {
  const Variable embedded =
      fourier_ ? (*fourier_)(t)
               : Variable(sinusoidal_embedding(
                     t, dim_, {.theta = theta_, .shift = 1, .order = SinusoidOrder::kSinesFirst}));
  return linear3_(activation(Activation::kGelu, linear1_(augment_.added_to(embedded, augment))));
}

}  // namespace ddpm::lucidrains
