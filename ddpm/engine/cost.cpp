#include "ddpm/engine/cost.h"

#include "ddpm/autograd/inference.h"
#include "ddpm/engine/trainer.h"
#include "ddpm/kernels/dry/dry_backend.h"
#include "ddpm/tensor/dry_memory.h"

namespace ddpm {

Cost estimate_cost(const ModelConfig& config, int64_t batch) {
  const UnetConfig& network_config = config.network;
  network_config.check_image(config.height, config.width);
  const auto images = [&](int64_t count) {
    return Tensor({count, config.height, config.width, network_config.channels}, DType::kFloat32,
                  Device::kDry);
  };
  Cost cost;
  DryMemory memory;
  {
    DiffusionUnet network(network_config, Device::kDry);
    cost.parameters = network.parameter_count();
    take_dry_flops();
    network(Variable(images(1)), Tensor({1}, DType::kFloat32, Device::kDry));
    cost.forward_flops = take_dry_flops();
    const Inference scope;
    memory.reset_peak();
    network(Variable(images(batch)), Tensor({batch}, DType::kFloat32, Device::kDry));
    cost.sampling_bytes = memory.peak_bytes_in_use();
  }
  const auto training_bytes = [&](bool checkpointing) {
    // A network may predict more channels than an image has; what training would feed back has its
    // output's shape.
    ModelConfig trained = config;
    trained.network.output_dim = 0;
    TrainOptions options;
    options.checkpointing = checkpointing;
    Trainer trainer(
        options, trained, [&](int64_t) { return images(batch); }, Device::kDry);
    memory.reset_peak();
    trainer.step();
    return memory.peak_bytes_in_use();
  };
  cost.training_bytes = training_bytes(false);
  cost.checkpointed_bytes = training_bytes(true);
  take_dry_flops();
  return cost;
}

}  // namespace ddpm
