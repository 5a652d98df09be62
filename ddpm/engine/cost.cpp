#include "ddpm/engine/cost.h"

#include "ddpm/autograd/inference.h"
#include "ddpm/engine/trainer.h"
#include "ddpm/kernels/dry/dry_backend.h"
#include "ddpm/tensor/allocator.h"

namespace ddpm {

Cost estimate_cost(const ModelConfig& config, int64_t batch) {
  const UnetConfig& network_config = config.network;
  network_config.check_image(config.height, config.width);
  const auto images = [&](int64_t count) {
    return Tensor({count, config.height, config.width, network_config.channels}, DType::kFloat32,
                  Device::kDry);
  };
  Cost cost;
  const int64_t before = allocator_stats().bytes_in_use;
  {
    DiffusionUnet network(network_config, Device::kDry);
    cost.parameters = network.parameter_count();
    take_dry_flops();
    network(Variable(images(1)), Tensor({1}, DType::kFloat32, Device::kDry));
    cost.forward_flops = take_dry_flops();
    const Inference scope;
    reset_allocator_peak();
    network(Variable(images(batch)), Tensor({batch}, DType::kFloat32, Device::kDry));
    cost.sampling_bytes = allocator_stats().peak_bytes_in_use - before;
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
    reset_allocator_peak();
    trainer.step();
    return allocator_stats().peak_bytes_in_use - before;
  };
  cost.training_bytes = training_bytes(false);
  cost.checkpointed_bytes = training_bytes(true);
  take_dry_flops();
  trim_allocator();
  return cost;
}

}  // namespace ddpm
