#include "ddpm/engine/generation.h"

#include <fmt/core.h>

#include <algorithm>

#include "ddpm/base/error.h"
#include "ddpm/diffusion/initial_noise.h"
#include "ddpm/diffusion/sampler.h"
#include "ddpm/engine/finite.h"
#include "ddpm/engine/memory_check.h"
#include "ddpm/engine/model.h"
#include "ddpm/nn/network.h"

namespace ddpm {

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

namespace {

void check_device(const Network& network, const GenerateOptions& options) {
  if (options.guide == nullptr || options.guide->network->device() == network.device()) return;
  fail_usage("sample",
             fmt::format("the guide is on the device {}, but the model on {}; load both "
                         "for one device",
                         name_of(options.guide->network->device()), name_of(network.device())));
}

}  // namespace

Generation::Generation(const Network& network, const ModelConfig& config,
                       const GenerateOptions& options, bool kept)
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

// Returns how many images may pass the network at once.
int64_t Generation::most_at_once(const ModelConfig& config, bool kept) {
  channels_ = config.network.channels();
  const bool both = asked_.guidance.needs_both() && options_.guide == nullptr;
  // A batch of another rank, or its state and estimate.
  const int64_t received =
      options_.ranks ? 2 * options_.batch * image().elements() * size_of(DType::kFloat32) : 0;
  const SamplingMemory memory{.count = drawn_,
                              .batch = options_.batch,
                              .height = size_.height,
                              .width = size_.width,
                              .prepare_weights = options_.prepare_weights,
                              .other_bytes = options_.other_bytes + received,
                              .kept = kept,
                              .guided = both,
                              .guide = asked_.guidance.scale != 1 && options_.guide != nullptr
                                           ? &options_.guide->config
                                           : nullptr,
                              .images_per_n = options_.total() / options_.count};
  require_memory_for_sampling(config, memory);
  return both && guidance_fits_in_one_pass(config, memory) ? 2 * options_.batch : options_.batch;
}

std::optional<Tensor> Generation::draw(int64_t begin, int64_t count,
                                       const Progress& progress) const {
  SampleRequest request{.sampling = options_.sampling,
                        .image = image(),
                        .tuned = config_.tuned,
                        .device = network_.device()};
  for (const int64_t number : image_numbers(asked_, begin, count))
    request.image_seeds.push_back(image_seeds(options_.seed, number, 1)[0]);
  for (const Tensor& draw : options_.noise)
    request.noise.push_back(draw.rows(begin, begin + count));
  bool cancelled = false;
  if (progress) {
    request.progress = [&](const SampleProgress& now) {
      // After the last step the images are finished.
      cancelled = !progress(now) && now.step < now.steps;
      return !cancelled;
    };
  }
  Tensor images;
  try {
    images = sample(process_, denoisers_.of(begin, count), request);
  } catch (const Error&) {
    if (cancelled) return std::nullopt;
    throw;
  }
  if (const auto value = find_not_finite(images)) {
    fail("sample", fmt::format("the pictures contain {}; the network's weights are damaged, or "
                               "its training failed",
                               *value));
  }
  return images;
}

GeneratedBatch Generation::batch(int64_t begin, const Tensor& images) const {
  GeneratedBatch batch{.images = images};
  for (int64_t k = begin; k < begin + images.size(0); ++k)
    batch.which.push_back(place_of(asked_, 0, k).image);
  return batch;
}

}  // namespace ddpm
