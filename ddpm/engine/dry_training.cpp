#include "ddpm/engine/dry_training.h"

#include <algorithm>

#include "ddpm/data/augment.h"

namespace ddpm {
namespace {

Tensor dry_images(const ModelConfig& config, int64_t count) {
  return Tensor({count, config.height, config.width, config.network.channels()}, DType::kFloat32,
                Device::kDry);
}

// Undefined if the network takes none.
Tensor dry_condition(const ModelConfig& config, int64_t count) {
  const int64_t channels = config.network.condition_channels();
  if (channels == 0) return {};
  return Tensor({count, config.height, config.width, channels}, DType::kFloat32, Device::kDry);
}

int64_t picture_bytes(const ModelConfig& config) {
  const NetworkConfig& network = config.network;
  return config.height * config.width * (network.channels() + network.condition_channels()) *
         int64_t{sizeof(float)};
}

// One number for each image: time steps, labels.
Tensor dry_numbers(int64_t count) { return Tensor({count}, DType::kFloat32, Device::kDry); }

Batch dry_batch(const ModelConfig& config, int64_t count) {
  Batch batch(dry_images(config, count));
  batch.labels = dry_numbers(count);
  batch.condition = dry_condition(config, count);
  return batch;
}

ModelConfig trained(ModelConfig config) {
  // A network may predict more channels than an image has. A training step needs an output with the
  // image's shape.
  if (!config.process.learned_variance) config.network.output_dim() = config.network.channels();
  // A training step tells a network of this many numbers.
  if (config.network.augment_channels() > 0) config.network.augment_channels() = kAugmentChannels;
  // Computing the table of a long schedule would only take time.
  config.process.timesteps = 2;
  return config;
}

// So that two steps show all that SOAP does.
OptimizerOptions with_new_bases_in_every_step(OptimizerOptions options) {
  options.update.precondition_every = 1;
  return options;
}

}  // namespace

NetworkInput dry_input(const Network& network, const ModelConfig& config, int64_t count) {
  NetworkInput input{.x = Variable(dry_images(config, count)),
                     .t = dry_numbers(count),
                     .condition = Variable(dry_condition(config, count))};
  if (network.takes().labels) input.labels = dry_numbers(count);
  if (network.takes().estimate) input.estimate = Variable(dry_images(config, count));
  return input;
}

DryTraining::DryTraining(const ModelConfig& config, const OptimizerOptions& options)
    : config_(trained(config)),
      options_(with_new_bases_in_every_step(options)),
      trainer_(
          options_, config_, [this](int64_t) { return dry_batch(config_, batch()); },
          Device::kDry) {}

int64_t DryTraining::batch() const { return std::min(options_.batch, 2 * options_.chunk()); }

int64_t DryTraining::bytes_of_further_chunks() {
  const int64_t chunks = (options_.batch + options_.chunk() - 1) / options_.chunk();
  int64_t sums = 0;
  for (int64_t rest = (chunks - 1) / kGradientGroup; rest > 0; rest /= kGradientGroup) ++sums;
  const int64_t weights = trainer_.network().parameter_count() * int64_t{sizeof(float)};
  return sums * weights + (options_.batch - batch()) * picture_bytes(config_);
}

}  // namespace ddpm
