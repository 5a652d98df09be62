// The calls of generator.h: what is asked for is checked, and drawn together with the other ranks
// if there are some.
#include <fmt/core.h>

#include <algorithm>
#include <optional>

#include "ddpm/base/error.h"
#include "ddpm/diffusion/initial_noise.h"
#include "ddpm/diffusion/sampler.h"
#include "ddpm/engine/drawing_call.h"
#include "ddpm/engine/drawing_ranks.h"
#include "ddpm/engine/generation.h"
#include "ddpm/engine/generator.h"
#include "ddpm/nn/network.h"

namespace ddpm {

int64_t GenerateOptions::at_once() const { return batch * (ranks ? ranks->size() : 1); }

std::vector<uint64_t> generated_seeds(const GenerateOptions& options, int64_t begin,
                                      int64_t count) {
  std::vector<uint64_t> seeds;
  for (const int64_t number : image_numbers(asked_by(options), begin, count))
    seeds.push_back(image_seeds(options.seed, number, 1)[0]);
  return seeds;
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

// A call of generate() on rank 0, or on a process alone.
class Drawing {
 public:
  Drawing(const Network& network, const ModelConfig& config, const GenerateOptions& options,
          bool kept)
      : options_(options), device_(network.device()), generation_(network, config, options, kept) {
    if (options.ranks != nullptr)
      others_.emplace(*options.ranks, network, config, options, generation_.image());
  }

  // For all of them, not filled.
  Tensor all_images() const {
    const Shape image = generation_.image();
    return Tensor({generation_.drawn(), image[0], image[1], image[2]}, DType::kFloat32, device_);
  }

  // Returns how many images are finished.
  int64_t run(const GenerateSink& sink) {
    int64_t finished = 0;
    try {
      finished = draw_all(sink);
    } catch (...) {
      if (others_) others_->finish();
      throw;
    }
    if (others_) others_->finish();
    return finished;
  }

 private:
  int64_t draw_all(const GenerateSink& sink) {
    const int64_t drawn = generation_.drawn();
    for (int64_t begin = 0; begin < drawn; begin += options_.at_once()) {
      const Range round{.begin = begin, .end = std::min(begin + options_.at_once(), drawn)};
      const int64_t own = others_ ? others_->part(round, 0).count() : round.count();
      const std::optional<Tensor> images =
          generation_.draw(begin, own, [&](const SampleProgress& now) { return tell(round, now); });
      if (!images) return begin;
      sink(generation_.batch(begin, *images));
      if (cancelled_) return begin + own;
      for (int rank = 1; others_ && rank < others_->size(); ++rank) {
        const Range part = others_->part(round, rank);
        if (part.count() > 0)
          sink(generation_.batch(part.begin, others_->images(rank, part.count())));
      }
    }
    return drawn;
  }

  // After a step of this rank. Returns whether the caller wants the next.
  bool tell(const Range& round, const SampleProgress& now) {
    if (others_) others_->check();
    if (!options_.progress) return true;
    GenerateProgress progress{.begin = round.begin,
                              .step = now.step,
                              .steps = now.steps,
                              .done = done(round, now),
                              .x = now.x,
                              .x0 = now.x0};
    cancelled_ = !options_.progress(progress);
    for (int rank = 1; options_.all_states && others_ && rank < others_->size(); ++rank) {
      const Range part = others_->part(round, rank);
      if (cancelled_ || part.count() == 0) break;
      const DrawingCall::State state = others_->state(rank, part.count());
      progress.begin = part.begin;
      progress.x = &state.x;
      progress.x0 = state.x0.defined() ? &state.x0 : nullptr;
      cancelled_ = !options_.progress(progress);
    }
    return !cancelled_;
  }

  // The ranks do about as many steps in the same time.
  static double done(const Range& round, const SampleProgress& now) {
    const double share = static_cast<double>(now.step) / static_cast<double>(now.steps);
    return static_cast<double>(round.begin) + share * static_cast<double>(round.count());
  }

  const GenerateOptions& options_;
  const Device device_;
  const Generation generation_;
  std::optional<DrawingCall> others_;
  bool cancelled_ = false;
};

}  // namespace

int64_t generate(const Network& network, const ModelConfig& config, const GenerateOptions& options,
                 const GenerateSink& sink) {
  options.check_for(config);
  return Drawing(network, config, options, false).run(sink);
}

Tensor generate(const Network& network, const ModelConfig& config, const GenerateOptions& options) {
  options.check_for(config);
  Drawing drawing(network, config, options, true);
  Tensor images;
  int64_t finished = 0;
  drawing.run([&](const GeneratedBatch& batch) {
    const int64_t count = batch.images.size(0);
    if (!images.defined()) images = drawing.all_images();
    images.rows(finished, finished + count).copy_from(batch.images);
    finished += count;
  });
  if (!images.defined()) images = drawing.all_images();
  return images.rows(0, finished);
}

}  // namespace ddpm
