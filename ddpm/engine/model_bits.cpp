#include "ddpm/engine/model_bits.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "ddpm/autograd/inference.h"
#include "ddpm/base/error.h"
#include "ddpm/engine/denoiser.h"
#include "ddpm/nn/network.h"

namespace ddpm {
namespace {

void check_fit(const ModelConfig& config, const Pictures& pictures) {
  check_has_bound(config.process);
  if (pictures.channels() != config.network.channels() ||
      pictures.condition_channels() != config.network.condition_channels()) {
    fail_usage("bits", fmt::format("the pictures have {} channels and conditions of {}; the model "
                                   "is for {} and {}",
                                   pictures.channels(), pictures.condition_channels(),
                                   config.network.channels(), config.network.condition_channels()));
  }
  const ImageSize size = pictures.image_size();
  config.network.check_image(size.height, size.width);
}

}  // namespace

ModelBits model_bits(const Network& network, const ModelConfig& config, const Pictures& pictures,
                     const std::vector<int64_t>& indices, const BitsOptions& options, int64_t batch,
                     const std::function<void(int64_t done, int64_t total)>& progress) {
  check_fit(config, pictures);
  const Process process(config.process);
  const std::vector<int64_t> by_name = config.labels_of_classes(pictures.class_names());
  const auto total = static_cast<int64_t>(indices.size());
  const Inference scope;
  std::vector<double> bits;
  for (int64_t begin = 0; begin < total; begin += batch) {
    const int64_t count = std::min(batch, total - begin);
    const Batch some = pictures.batch(
        {.indices = {indices.begin() + begin, indices.begin() + begin + count}, .flips = {}});
    Tensor labels;
    if (config.network.classes() > 0) {
      labels = Tensor::full({count}, -1);
      for (int64_t n = 0; some.labels.defined() && n < count; ++n) {
        const auto label = static_cast<int64_t>(some.labels.f32()[n]);
        if (label >= 0) labels.f32()[n] = static_cast<float>(by_name[static_cast<size_t>(label)]);
      }
      labels = labels.to(network.device());
    }
    const Tensor condition =
        some.condition.defined() ? some.condition.to(network.device()) : Tensor();
    BitsOptions part = options;
    part.first = options.first + begin;
    const std::vector<double> values = bits_per_dim(
        process, denoiser_for(network, {.labels = labels, .condition = condition}, count),
        some.images.to(network.device()), part);
    bits.insert(bits.end(), values.begin(), values.end());
    if (progress) progress(begin + count, total);
  }
  ModelBits result{.count = total};
  const double n = static_cast<double>(total);
  for (const double value : bits) result.mean += value / n;
  double squares = 0;
  for (const double value : bits) squares += (value - result.mean) * (value - result.mean);
  if (total > 1) result.standard_error = std::sqrt(squares / (n - 1) / n);
  return result;
}

}  // namespace ddpm
