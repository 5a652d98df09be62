#include "ddpm/engine/held_out_loss.h"

#include <algorithm>

#include "ddpm/autograd/inference.h"
#include "ddpm/base/error.h"
#include "ddpm/diffusion/noised_batch.h"
#include "ddpm/diffusion/process.h"
#include "ddpm/engine/denoiser.h"
#include "ddpm/engine/picture_inputs.h"
#include "ddpm/engine/streams.h"
#include "ddpm/nn/network.h"

namespace ddpm {
namespace {

// The mean square of output - target of picture n. A learned variance is in further channels of
// the output, which are left out.
double mean_square(const Tensor& output, const Tensor& target, int64_t n) {
  const int64_t channels = target.size(3), stride = output.size(3);
  const int64_t pixels = target.size(1) * target.size(2);
  double sum = 0;
  for (int64_t p = 0; p < pixels; ++p) {
    const float* made = output.f32() + (n * pixels + p) * stride;
    const float* wanted = target.f32() + (n * pixels + p) * channels;
    for (int64_t c = 0; c < channels; ++c) {
      const double error = static_cast<double>(made[c]) - wanted[c];
      sum += error * error;
    }
  }
  return sum / static_cast<double>(pixels * channels);
}

}  // namespace

double held_out_loss(const Network& network, const ModelConfig& config, const Pictures& pictures,
                     const std::vector<int64_t>& indices, const HeldOutOptions& options) {
  if (indices.empty()) fail_usage("loss", "there are no pictures to compute the loss of");
  check_pictures_fit("loss", config, pictures);
  ProcessConfig without_perturbation = config.process;
  without_perturbation.input_perturbation = 0;
  const Process process(without_perturbation);
  const std::vector<int64_t> by_name = config.labels_of_classes(pictures.class_names());
  const NoiseSeeds seeds{.levels = seed_of(options.seed, Stream::kHeldOutLevels),
                         .noise = seed_of(options.seed, Stream::kHeldOutNoise)};
  const auto count = static_cast<int64_t>(indices.size()), total = count * options.repeats;
  const Inference scope;
  double sum = 0;
  for (int64_t begin = 0; begin < total; begin += options.batch) {
    const int64_t end = std::min(begin + options.batch, total);
    BatchPlan plan;
    for (int64_t k = begin; k < end; ++k)
      plan.indices.push_back(indices[static_cast<size_t>(k % count)]);
    const Batch some = pictures.batch(plan);
    const NoisedBatch noised = noised_batch(process, seeds, static_cast<uint64_t>(begin),
                                            some.images.to(network.device()));
    const Denoiser run = denoiser_for(
        network, inputs_of_pictures(config, by_name, some, network.device()), end - begin);
    const Tensor output = run(noised.input, noised.t, {}).to(Device::kCpu);
    const Tensor target = noised.target.to(Device::kCpu);
    const std::vector<float> weights =
        noised.weights.defined() ? noised.weights.values() : std::vector<float>();
    for (int64_t n = 0; n < end - begin; ++n) {
      const double weight =
          weights.empty() ? 1 : static_cast<double>(weights[static_cast<size_t>(n)]);
      sum += weight * mean_square(output, target, n);
    }
    if (options.progress) options.progress(end, total);
  }
  return sum / static_cast<double>(total);
}

}  // namespace ddpm
