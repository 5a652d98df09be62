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

namespace {

// Throws UsageError unless there is a condition for each image of a model that takes one.
void check_condition(const ModelConfig& config, const GenerateOptions& options, int64_t height,
                     int64_t width) {
  const int64_t channels = config.network.condition_channels();
  const Tensor& condition = options.condition;
  if (channels == 0) {
    if (!condition.defined()) return;
    fail_usage("sample", "the model takes no condition, but one is given");
  }
  const Shape wanted{options.count, height, width, channels};
  if (!condition.defined()) {
    fail_usage("sample", fmt::format("the model draws from a condition ({}), and none is given; "
                                     "{} is needed",
                                     config.condition, wanted.str()));
  }
  const Shape one{1, height, width, channels};
  if (condition.shape() != wanted && condition.shape() != one) {
    fail_usage("sample", fmt::format("the condition is {}; {} is needed, or {} for all",
                                     condition.shape().str(), wanted.str(), one.str()));
  }
  if (condition.dtype() != DType::kFloat32) {
    fail_usage("sample",
               fmt::format("the condition is of type {}; it must be float32, from -1 to 1",
                           name_of(condition.dtype())));
  }
  if (const auto value = find_not_finite(condition)) {
    fail_usage("sample",
               fmt::format("the condition contains {}; all numbers must be finite", *value));
  }
}

// For images [begin, end) of a call. Undefined if there is none.
Tensor condition_of(const Tensor& condition, int64_t begin, int64_t end, Device device) {
  if (!condition.defined()) return {};
  if (condition.size(0) != 1) return condition.rows(begin, end).to(device);
  const Shape& one = condition.shape();
  Tensor all({end - begin, one[1], one[2], one[3]}, DType::kFloat32, device);
  const Tensor here = condition.to(device);
  for (int64_t i = 0; i < end - begin; ++i) {
    Tensor row = all.rows(i, i + 1);
    row.copy_from(here);
  }
  return all;
}

// The side asked for, or that of the condition, or the one trained on.
int64_t side(int64_t asked, const Tensor& condition, int axis, int64_t trained) {
  if (asked > 0) return asked;
  return condition.defined() && condition.shape().rank() == 4 ? condition.size(axis) : trained;
}

}  // namespace

Tensor generate(const Network& network, const ModelConfig& config, const GenerateOptions& options) {
  options.check();
  const int64_t height = side(options.height, options.condition, 1, config.height);
  const int64_t width = side(options.width, options.condition, 2, config.width);
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
  check_condition(config, options, height, width);
  require_memory_for_sampling(config, {.count = options.count,
                                       .batch = options.batch,
                                       .height = height,
                                       .width = width,
                                       .prepare_weights = options.prepare_weights,
                                       .other_bytes = options.other_bytes});
  std::optional<Inference> scope;
  if (options.prepare_weights) scope.emplace();
  const Process process(config.process);
  Tensor estimate;   // from the previous step, if the network takes one
  Tensor condition;  // of the batch
  const Denoiser denoiser = [&](const Tensor& x, const Tensor& t) {
    Tensor output = network({.x = Variable(x),
                             .t = t,
                             .condition = Variable(condition),
                             .estimate = Variable(estimate)})
                        .value();
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
    condition = condition_of(options.condition, begin, begin + count, network.device());
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
