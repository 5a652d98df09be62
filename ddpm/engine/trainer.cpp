#include "ddpm/engine/trainer.h"

#include <fmt/core.h>

#include <cmath>

#include "ddpm/base/error.h"
#include "ddpm/base/philox.h"
#include "ddpm/engine/weights.h"

namespace ddpm {
namespace {

// Independent random numbers for each purpose, all from the run's one seed.
enum Purpose : uint64_t { kInitialWeights = 1, kTimeSteps = 2, kNoise = 3 };

std::vector<Variable> variables_of(DiffusionUnet& network, uint64_t seed) {
  network.initialize(mix_seed(seed, kInitialWeights));
  std::vector<Variable> variables;
  for (const NamedParameter& named : network.parameters())
    variables.push_back(named.parameter->variable);
  return variables;
}

}  // namespace

Trainer::Trainer(const TrainOptions& options, const ModelConfig& config, BatchSource batches,
                 Device device)
    : options_(options),
      config_(config),
      batches_(std::move(batches)),
      schedule_(config.schedule, config.timesteps),
      loss_(loss_kind(options.loss)),
      network_(config.network, device),
      adam_(variables_of(network_, options.seed), {.learning_rate = options.lr,
                                                   .clip_norm = options.clip_norm,
                                                   .ema_decay = options.ema_decay}) {
  config_.network.check_image(config.height, config.width);
  network_.set_recompute(options.recompute);
}

StepMetrics Trainer::step() {
  const int64_t step = adam_.steps();
  const Tensor images = batches_(step);  // [N, H, W, C]
  const int64_t batch = images.size(0);
  const Device device = network_.device();
  Backend& backend = backend_for(device);

  std::vector<int64_t> t(static_cast<size_t>(batch));
  std::vector<uint64_t> noise_seeds(static_cast<size_t>(batch));
  // [N]; values are written on the host, which kDry has none of
  Tensor t_input({batch}, DType::kFloat32, holds_values(device) ? Device::kCpu : device);
  const Philox times(mix_seed(options_.seed, kTimeSteps));
  for (int64_t i = 0; holds_values(device) && i < batch; ++i) {
    const uint64_t drawn = static_cast<uint64_t>(step * batch + i);
    t[i] = static_cast<int64_t>(times.below(static_cast<uint64_t>(schedule_.steps()), drawn));
    t_input.f32()[i] = static_cast<float>(t[i]);
    noise_seeds[i] = mix_seed(mix_seed(options_.seed, kNoise), drawn);
  }
  Tensor noise(images.shape(), DType::kFloat32, device),
      noisy(images.shape(), DType::kFloat32, device);
  backend.normal(noise_seeds, 0, noise);
  add_noise(schedule_, images, t, noise, noisy);

  Tape tape;
  Loss loss;
  {
    const Tape::Recording recording(tape);
    loss = mean_loss(loss_, network_(Variable(noisy), t_input.on(device)), noise);
  }
  const auto fail_if_not_finite = [&](const char* what, double value) {
    if (std::isfinite(value)) return;
    fail("train",
         fmt::format("the {} became {} at step {}; the weights of the step before are untouched. A "
                     "lower --lr, a "
                     "--clip-norm of 1 or a --weight-standardization-eps of 1e-5 usually helps",
                     what, value, step + 1));
  };
  fail_if_not_finite("loss", loss.value);
  loss.backward(tape);
  const double norm = adam_.gradient_norm();
  fail_if_not_finite("gradient", norm);

  const double warmup =
      options_.lr_warmup > 0
          ? std::min(1.0, static_cast<double>(step + 1) / static_cast<double>(options_.lr_warmup))
          : 1.0;
  adam_.set_learning_rate(options_.lr * warmup);
  adam_.step(norm);
  return {.step = step + 1,
          .loss = loss.value,
          .gradient_norm = norm,
          .learning_rate = options_.lr * warmup};
}

std::unique_ptr<DiffusionUnet> Trainer::averaged_network() {
  auto averaged = std::make_unique<DiffusionUnet>(config_.network, network_.device());
  const std::vector<NamedParameter> parameters = averaged->parameters();
  for (size_t i = 0; i < parameters.size(); ++i)
    parameters[i].parameter->variable = Variable(adam_.ema()[i]);
  return averaged;
}

}  // namespace ddpm
