#include "ddpm/engine/generator.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>

#include "ddpm/autograd/inference.h"
#include "ddpm/base/error.h"

namespace ddpm {

Tensor generate(const DiffusionUnet& network, const ModelConfig& config,
                const GenerateOptions& options) {
  const int64_t height = options.height > 0 ? options.height : config.height;
  const int64_t width = options.width > 0 ? options.width : config.width;
  if (height < 1 || width < 1) {
    fail_usage("sample", "the model's file does not say how large its images are; give --size");
  }
  config.network.check_image(height, width);
  if (config.network.output_channels() != config.network.channels) {
    fail_usage(
        "sample",
        fmt::format(
            "the network has {} output channels for images of {}; only networks that predict the "
            "noise alone can be sampled from",
            config.network.output_channels(), config.network.channels));
  }
  if (options.count < 1 || options.batch < 1) {
    fail_usage("sample",
               fmt::format("cannot make {} images in batches of {}; both must be at least 1",
                           options.count, options.batch));
  }
  std::optional<Inference> scope;
  if (options.prepare_weights) scope.emplace();
  const Schedule schedule(config.schedule, config.timesteps);
  const Denoiser denoiser = [&](const Tensor& x, const Tensor& t) {
    return network(Variable(x), t).value();
  };
  const int64_t channels = config.network.channels;
  Tensor images({options.count, height, width, channels}, DType::kFloat32, network.device());
  for (int64_t begin = 0; begin < options.count; begin += options.batch) {
    const int64_t count = std::min(options.batch, options.count - begin);
    SampleRequest request{.sampler = options.sampler,
                          .image = {height, width, channels},
                          .image_seeds = image_seeds(options.seed, options.first + begin, count),
                          .eta = options.eta,
                          .device = network.device()};
    if (options.steps > 0) request.steps = options.steps;
    if (options.progress) {
      request.progress = [&](const SampleProgress& progress) {
        return options.progress(begin, progress);
      };
    }
    Tensor rows = images.rows(begin, begin + count);
    rows.copy_from(sample(schedule, denoiser, request));
  }
  return images;
}

}  // namespace ddpm
