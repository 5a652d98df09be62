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
          .only = options.only,
          .labels = options.labels,
          .guidance = guidance,
          .guide = options.guide,
          .condition = options.condition};
}

std::vector<uint64_t> seeds_of(uint64_t seed, const ImagesAsked& asked, int64_t begin,
                               int64_t count) {
  std::vector<uint64_t> seeds;
  for (const int64_t number : image_numbers(asked, begin, count))
    seeds.push_back(image_seeds(seed, number, 1)[0]);
  return seeds;
}

}  // namespace

int64_t GenerateOptions::total() const {
  return count * std::max<int64_t>(static_cast<int64_t>(labels.size()), 1);
}

std::vector<uint64_t> generated_seeds(const GenerateOptions& options, int64_t begin,
                                      int64_t count) {
  return seeds_of(options.seed, asked_by(options), begin, count);
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
  const ImagesAsked asked = asked_by(*this);
  check_image_inputs(config, asked, height, width);
  const Shape wanted{images_drawn(asked), height, width, config.network.channels()};
  for (const Tensor& draw : noise) {
    if (draw.shape() == wanted) continue;
    fail_usage("sample", fmt::format("the noise is {}; these images need {}", draw.shape().str(),
                                     wanted.str()));
  }
  if (!noise.empty())
    check_draws(sampling, Process(config.process), config.tuned, std::ssize(noise));
}

namespace {

void check_device(const Network& network, const GenerateOptions& options) {
  if (options.guide == nullptr || options.guide->network->device() == network.device()) return;
  fail_usage("sample",
             fmt::format("the guide is on the device {}, but the model on {}; load both "
                         "for one device",
                         name_of(options.guide->network->device()), name_of(network.device())));
}

// A call of generate().
class Generation {
 public:
  // kept: the pictures stay in memory until the last is done.
  Generation(const Network& network, const ModelConfig& config, const GenerateOptions& options,
             bool kept)
      : network_(network),
        config_(config),
        options_(options),
        asked_(asked_by(options)),
        size_(sides(config, options)),
        drawn_(images_drawn(asked_)),
        process_(config.process),
        denoisers_(network, config, asked_, most_at_once(config, kept)) {
    check_device(network, options);
    if (options.prepare_weights) scope_.emplace();
  }

  Shape image() const { return {size_.height, size_.width, channels_}; }
  int64_t drawn() const { return drawn_; }

  // Returns how many images are finished.
  int64_t run(const GenerateSink& sink) {
    for (int64_t begin = 0; begin < drawn_; begin += options_.batch) {
      const int64_t count = std::min(options_.batch, drawn_ - begin);
      const std::optional<Tensor> images = draw(begin, count);
      if (!images) return begin;
      std::vector<int64_t> which;
      for (int64_t k = begin; k < begin + count; ++k) which.push_back(place_of(asked_, 0, k).image);
      sink({.which = std::move(which), .images = *images});
      if (cancelled_) return begin + count;
    }
    return drawn_;
  }

 private:
  // Throws UsageError if there is not enough memory. Returns how many images may pass the network
  // at once.
  int64_t most_at_once(const ModelConfig& config, bool kept) {
    channels_ = config.network.channels();
    const bool both = asked_.guidance.needs_both() && options_.guide == nullptr;
    const SamplingMemory memory{.count = drawn_,
                                .batch = options_.batch,
                                .height = size_.height,
                                .width = size_.width,
                                .prepare_weights = options_.prepare_weights,
                                .other_bytes = options_.other_bytes,
                                .kept = kept,
                                .guided = both,
                                .guide = asked_.guidance.scale != 1 && options_.guide != nullptr
                                             ? &options_.guide->config
                                             : nullptr,
                                .images_per_n = options_.total() / options_.count};
    require_memory_for_sampling(config, memory);
    return both && guidance_fits_in_one_pass(config, memory) ? 2 * options_.batch : options_.batch;
  }

  std::vector<Tensor> noise_of_rows(int64_t begin, int64_t count) const {
    std::vector<Tensor> noise;
    for (const Tensor& draw : options_.noise) noise.push_back(draw.rows(begin, begin + count));
    return noise;
  }

  // The images begin ... begin + count - 1 of those drawn; none if the caller has cancelled them.
  std::optional<Tensor> draw(int64_t begin, int64_t count) {
    SampleRequest request{.sampling = options_.sampling,
                          .image = image(),
                          .image_seeds = seeds_of(options_.seed, asked_, begin, count),
                          .tuned = config_.tuned,
                          .noise = noise_of_rows(begin, count),
                          .device = network_.device()};
    if (options_.progress) {
      request.progress = [&](const SampleProgress& progress) {
        cancelled_ = !options_.progress({.begin = begin,
                                         .step = progress.step,
                                         .steps = progress.steps,
                                         .x = progress.x,
                                         .x0 = progress.x0});
        // After the last step the batch is finished.
        return !cancelled_ || progress.step == progress.steps;
      };
    }
    Tensor images;
    try {
      images = sample(process_, denoisers_.of(begin, count), request);
    } catch (const Error&) {
      if (cancelled_) return std::nullopt;
      throw;
    }
    if (const auto value = find_not_finite(images)) {
      fail("sample", fmt::format("the pictures contain {}; the network's weights are damaged, or "
                                 "its training failed",
                                 *value));
    }
    return images;
  }

  const Network& network_;
  const ModelConfig& config_;
  const GenerateOptions& options_;
  const ImagesAsked asked_;
  const ImageSize size_;
  const int64_t drawn_;
  int64_t channels_ = 0;  // set before denoisers_
  const Process process_;
  const Denoisers denoisers_;
  std::optional<Inference> scope_;
  bool cancelled_ = false;
};

}  // namespace

int64_t generate(const Network& network, const ModelConfig& config, const GenerateOptions& options,
                 const GenerateSink& sink) {
  options.check_for(config);
  return Generation(network, config, options, false).run(sink);
}

Tensor generate(const Network& network, const ModelConfig& config, const GenerateOptions& options) {
  options.check_for(config);
  Generation generation(network, config, options, true);
  const Shape image = generation.image();
  Tensor images({generation.drawn(), image[0], image[1], image[2]}, DType::kFloat32,
                network.device());
  int64_t finished = 0;
  generation.run([&](const GeneratedBatch& batch) {
    const int64_t count = batch.images.size(0);
    images.rows(finished, finished + count).copy_from(batch.images);
    finished += count;
  });
  return images.rows(0, finished);
}

}  // namespace ddpm
