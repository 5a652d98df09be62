#include "ddpm/engine/cost.h"

#include <optional>

#include "ddpm/autograd/inference.h"
#include "ddpm/engine/dry_training.h"
#include "ddpm/kernels/dry/dry_backend.h"
#include "ddpm/nn/network.h"
#include "ddpm/tensor/dry_memory.h"

namespace ddpm {

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
  DryMemory memory;
  DryTraining training(config, options);
  training.trainer().step();
  take_dry_flops();
  return memory.peak_bytes_in_use() + training.bytes_of_further_chunks();
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
