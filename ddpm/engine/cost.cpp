#include "ddpm/engine/cost.h"

#include <algorithm>
#include <optional>

#include "ddpm/autograd/inference.h"
#include "ddpm/data/augment.h"
#include "ddpm/engine/trainer.h"
#include "ddpm/kernels/dry/dry_backend.h"
#include "ddpm/nn/network.h"
#include "ddpm/tensor/dry_memory.h"

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

NetworkInput dry_input(const Network& network, const ModelConfig& config, int64_t count) {
  NetworkInput input{.x = Variable(dry_images(config, count)),
                     .t = dry_numbers(count),
                     .condition = Variable(dry_condition(config, count))};
  if (network.takes().labels) input.labels = dry_numbers(count);
  if (network.takes().estimate) input.estimate = Variable(dry_images(config, count));
  return input;
}

Batch dry_batch(const ModelConfig& config, int64_t count) {
  Batch batch(dry_images(config, count));
  batch.labels = dry_numbers(count);
  batch.condition = dry_condition(config, count);
  return batch;
}

}  // namespace

int64_t sampling_bytes(const ModelConfig& config, int64_t batch, bool prepare_weights) {
  config.network.check_image(config.height, config.width);
  DryMemory memory;
  const std::unique_ptr<Network> network = make_network(config.network, Device::kDry);
  std::optional<Inference> scope;
  if (prepare_weights) scope.emplace();
  (*network)(dry_input(*network, config, batch));
  take_dry_flops();
  return memory.peak_bytes_in_use();
}

int64_t training_bytes(const ModelConfig& config, const OptimizerOptions& options) {
  config.network.check_image(config.height, config.width);
  // A network may predict more channels than an image has. A training step needs an output with the
  // image's shape.
  ModelConfig trained = config;
  if (!config.process.learned_variance) trained.network.output_dim() = config.network.channels();
  // A training step tells a network of this many numbers.
  if (trained.network.augment_channels() > 0) trained.network.augment_channels() = kAugmentChannels;
  // Computing the table of a long schedule would only take time.
  trained.process.timesteps = 2;
  // All chunks of a batch are alike, so two are enough. More of them hold more pictures, and more
  // sums of gradients: one for each further power of four (GradientSum).
  const int64_t batch = std::min(options.batch, 2 * options.chunk());
  DryMemory memory;
  Trainer trainer(
      options, trained, [&](int64_t) { return dry_batch(config, batch); }, Device::kDry);
  trainer.step();
  take_dry_flops();
  const int64_t chunks = (options.batch + options.chunk() - 1) / options.chunk();
  int64_t sums = 0;
  for (int64_t rest = (chunks - 1) / GradientSum::kGroup; rest > 0; rest /= GradientSum::kGroup)
    ++sums;
  const int64_t weights = trainer.network().parameter_count() * int64_t{sizeof(float)};
  return memory.peak_bytes_in_use() + sums * weights +
         (options.batch - batch) * picture_bytes(config);
}

Cost estimate_cost(const ModelConfig& config, int64_t batch) {
  config.network.check_image(config.height, config.width);
  Cost cost;
  {
    const std::unique_ptr<Network> network = make_network(config.network, Device::kDry);
    cost.parameters = network->parameter_count();
    take_dry_flops();
    (*network)(dry_input(*network, config, 1));
    cost.forward_flops = take_dry_flops();
  }
  cost.sampling_bytes = sampling_bytes(config, batch);
  if (config.network.classes() > 0) cost.guided_bytes = sampling_bytes(config, 2 * batch);
  if (cost.parameters == 0) return cost;
  OptimizerOptions options;
  options.batch = batch;
  cost.training_bytes = training_bytes(config, options);
  options.recompute = true;
  cost.recompute_bytes = training_bytes(config, options);
  return cost;
}

}  // namespace ddpm
