#include "ddpm/engine/generator.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>

#include "ddpm/autograd/inference.h"
#include "ddpm/base/error.h"
#include "ddpm/diffusion/initial_noise.h"
#include "ddpm/diffusion/sampler.h"
#include "ddpm/engine/finite.h"
#include "ddpm/engine/memory_check.h"
#include "ddpm/nn/network.h"

namespace ddpm {

void GenerateOptions::fields(Fields& field) {
  constexpr double kMany = 1'000'000;
  field("n", count, "number of pictures").range(1, kMany);
  field("seed", seed, "picture k of a seed is the same whatever --n and --batch are");
  field("sampler", sampler, "see below").choices("sampler", sampler_names());
  field("steps", steps, "denoising steps, 1 to the model's timesteps")
      .range(0, kMany)
      .default_text("the sampler's own");
  field("eta", eta, "noise that ddim adds: 0 none, 1 as much as ddpm").range(0, 1);
  field("batch", batch, "pictures denoised at once; fewer take less memory").range(1, kMostBatch);
}

void GenerateOptions::check() const {
  constexpr int64_t kLast = int64_t{1} << 40;
  check_options("sample", *this, "--");
  const struct {
    const char* name;
    int64_t value, highest;
  } others[] = {{"the first picture", first, kLast},
                {"the pictures' height", height, kLargestSide},
                {"the pictures' width", width, kLargestSide}};
  for (const auto& [name, value, highest] : others) {
    if (value >= 0 && value <= highest) continue;
    fail_usage("sample",
               fmt::format("{} is {} but must lie between 0 and {}", name, value, highest));
  }
}

Tensor generate(const Network& network, const ModelConfig& config, const GenerateOptions& options) {
  options.check();
  const int64_t height = options.height > 0 ? options.height : config.height;
  const int64_t width = options.width > 0 ? options.width : config.width;
  if (height < 1 || width < 1) {
    fail_usage("sample", "the model's file does not say how large its images are; give --size");
  }
  config.network.check_image(height, width);
  if (config.network.output_channels() != config.network.channels()) {
    fail_usage("sample",
               fmt::format(
                   "the network has {} output channels for images of {}; sampling needs one output "
                   "channel for each channel of the images",
                   config.network.output_channels(), config.network.channels()));
  }
  require_memory_for_sampling(config, {.count = options.count,
                                       .batch = options.batch,
                                       .height = options.height,
                                       .width = options.width,
                                       .prepare_weights = options.prepare_weights,
                                       .other_bytes = options.other_bytes});
  std::optional<Inference> scope;
  if (options.prepare_weights) scope.emplace();
  const Process process(config.process);
  Tensor estimate;  // from the previous step, if the network takes one
  const Denoiser denoiser = [&](const Tensor& x, const Tensor& t) {
    Tensor output = network({.x = Variable(x), .t = t, .estimate = Variable(estimate)}).value();
    if (const auto value = find_not_finite(output)) {
      fail("sample",
           fmt::format("the network's output holds {} at step {}; its weights are damaged, or its "
                       "training failed",
                       *value, t.values()[0]));
    }
    return output;
  };
  const int64_t channels = config.network.channels();
  Tensor images({options.count, height, width, channels}, DType::kFloat32, network.device());
  for (int64_t begin = 0; begin < options.count; begin += options.batch) {
    const int64_t count = std::min(options.batch, options.count - begin);
    SampleRequest request{.sampler = options.sampler,
                          .image = {height, width, channels},
                          .image_seeds = image_seeds(options.seed, options.first + begin, count),
                          .eta = options.eta,
                          .device = network.device()};
    if (options.steps > 0) request.steps = options.steps;
    estimate = {};
    request.progress = [&](const SampleProgress& progress) {
      if (network.takes().estimate) estimate = progress.x0->clone();
      return !options.progress || options.progress({.begin = begin,
                                                    .step = progress.step,
                                                    .steps = progress.steps,
                                                    .x = progress.x,
                                                    .x0 = progress.x0});
    };
    Tensor rows = images.rows(begin, begin + count);
    rows.copy_from(sample(process, denoiser, request));
    if (const auto value = find_not_finite(rows)) {
      fail(
          "sample",
          fmt::format("the pictures contain {}; the network's weights are damaged, or its training "
                      "failed",
                      *value));
    }
  }
  return images;
}

}  // namespace ddpm
