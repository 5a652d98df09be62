#include "ddpm/engine/generator.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>

#include "ddpm/autograd/inference.h"
#include "ddpm/base/error.h"
#include "ddpm/data/pixels.h"
#include "ddpm/diffusion/initial_noise.h"
#include "ddpm/diffusion/sampler.h"
#include "ddpm/engine/denoiser.h"
#include "ddpm/engine/finite.h"
#include "ddpm/engine/image_inputs.h"
#include "ddpm/engine/memory_check.h"
#include "ddpm/engine/model.h"
#include "ddpm/nn/network.h"

namespace ddpm {
namespace {

ImagesAsked asked_by(const GenerateOptions& options) {
  Guidance guidance{.scale = options.guidance, .rescale = options.guidance_rescale};
  read_guidance_interval(options.guidance_interval, guidance);
  return {.count = options.count,
          .first = options.first,
          .labels = options.labels,
          .guidance = guidance,
          .guide = options.guide,
          .condition = options.condition};
}

}  // namespace

int64_t GenerateOptions::total() const {
  return count * std::max<int64_t>(static_cast<int64_t>(labels.size()), 1);
}

std::vector<uint64_t> generated_seeds(const GenerateOptions& options, int64_t begin,
                                      int64_t count) {
  std::vector<uint64_t> seeds;
  for (const int64_t number : image_numbers(asked_by(options), begin, count))
    seeds.push_back(image_seeds(options.seed, number, 1)[0]);
  return seeds;
}

void GenerateOptions::fields(Fields& field) {
  constexpr double kMany = 1'000'000;
  field("n", count, "number of pictures; of each class, if --class is given").range(1, kMany);
  field("seed", seed, "picture k of a seed is the same whatever --n and --batch are");
  sampling.fields(field);
  field("guidance", guidance,
        "weight of the class: 1 as it was learnt, more for clearer but less varied pictures in "
        "twice the time, 0 to ignore it; with --guide, of what the model does better than it")
      .range(0, 1000)
      .advice("1.5 to 4 are usual");
  field("guidance_rescale", guidance_rescale,
        "how far the contrast that guidance adds is taken back, up to 1")
      .range(0, 1)
      .advice("0.7 is usual");
  field("guidance_interval", guidance_interval,
        "guide only where the noise (sigma / alpha) lies between these, and save the second pass "
        "elsewhere; HI may be inf")
      .value_name("LO,HI")
      .default_text("everywhere");
  field("batch", batch, "pictures denoised at once; fewer take less memory").range(1, kMostBatch);
}

void GenerateOptions::check() const {
  constexpr int64_t kLast = int64_t{1} << 40;
  check_options("sample", *this, "--");
  sampling.check();
  Guidance guidance_read;
  read_guidance_interval(guidance_interval, guidance_read);
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

// Throws UsageError unless the network predicts what the samplers read.
void check_output(const ModelConfig& config) {
  const int64_t images = config.network.channels(), output = config.network.output_channels();
  if (output == images * (config.process.learned_variance ? 2 : 1)) return;
  fail_usage("sample",
             fmt::format("the network has {} output channels for images of {}; sampling needs one "
                         "output channel for each channel of the images, or with "
                         "--learned-variance two",
                         output, images));
}

// The sides of the images: those asked for, or those of the condition, or those trained on. Throws
// UsageError if none are known.
ImageSize sides(const ModelConfig& config, const GenerateOptions& options) {
  const Tensor& condition = options.condition;
  const bool told = condition.defined() && condition.shape().rank() == 4;
  ImageSize size = told ? ImageSize{condition.size(1), condition.size(2)}
                        : ImageSize{config.height, config.width};
  if (options.height > 0) size.height = options.height;
  if (options.width > 0) size.width = options.width;
  if (size.height < 1 || size.width < 1) {
    fail_usage("sample", "the model's file does not say how large its images are; give --size");
  }
  return size;
}

}  // namespace

void GenerateOptions::check_for(const ModelConfig& config) const {
  check();
  const auto [height, width] = sides(config, *this);
  config.network.check_image(height, width);
  check_output(config);
  check_image_inputs(config, asked_by(*this), height, width);
}

Tensor generate(const Network& network, const ModelConfig& config, const GenerateOptions& options) {
  options.check_for(config);
  const ImageSize size = sides(config, options);
  const ImagesAsked asked = asked_by(options);
  const int64_t total = options.total();
  if (options.guide != nullptr && options.guide->network->device() != network.device()) {
    fail_usage("sample",
               fmt::format("the guide is on the device {}, but the model on {}; load both "
                           "for one device",
                           name_of(options.guide->network->device()), name_of(network.device())));
  }
  const bool both = asked.guidance.needs_both() && options.guide == nullptr;
  const SamplingMemory memory{.count = total,
                              .batch = options.batch,
                              .height = size.height,
                              .width = size.width,
                              .prepare_weights = options.prepare_weights,
                              .other_bytes = options.other_bytes,
                              .guided = both,
                              .guide = asked.guidance.scale != 1 && options.guide != nullptr
                                           ? &options.guide->config
                                           : nullptr,
                              .images_per_n = total / options.count};
  require_memory_for_sampling(config, memory);
  const int64_t most =
      both && guidance_fits_in_one_pass(config, memory) ? 2 * options.batch : options.batch;
  std::optional<Inference> scope;
  if (options.prepare_weights) scope.emplace();
  const Process process(config.process);
  const Denoisers denoisers(network, config, asked, most);
  const int64_t channels = config.network.channels();
  Tensor images({total, size.height, size.width, channels}, DType::kFloat32, network.device());
  for (int64_t begin = 0; begin < total; begin += options.batch) {
    const int64_t count = std::min(options.batch, total - begin);
    SampleRequest request{.sampling = options.sampling,
                          .image = {size.height, size.width, channels},
                          .image_seeds = generated_seeds(options, begin, count),
                          .tuned = config.tuned,
                          .device = network.device()};
    if (options.progress) {
      request.progress = [&](const SampleProgress& progress) {
        return options.progress({.begin = begin,
                                 .step = progress.step,
                                 .steps = progress.steps,
                                 .x = progress.x,
                                 .x0 = progress.x0});
      };
    }
    Tensor rows = images.rows(begin, begin + count);
    rows.copy_from(sample(process, denoisers.of(begin, count), request));
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
