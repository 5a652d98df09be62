#include "ddpm/engine/model_bits.h"

#include <algorithm>
#include <cmath>

#include "ddpm/autograd/inference.h"
#include "ddpm/engine/denoiser.h"
#include "ddpm/engine/picture_inputs.h"
#include "ddpm/nn/network.h"

namespace ddpm {
ModelBits model_bits(const Network& network, const ModelConfig& config, const Pictures& pictures,
                     const std::vector<int64_t>& indices, const BitsOptions& options, int64_t batch,
                     const std::function<void(int64_t done, int64_t total)>& progress) {
  check_has_bound(config.process);
  check_pictures_fit("bits", config, pictures);
  const Process process(config.process);
  const std::vector<int64_t> by_name = config.labels_of_classes(pictures.class_names());
  const auto total = static_cast<int64_t>(indices.size());
  const Inference scope;
  std::vector<double> bits;
  for (int64_t begin = 0; begin < total; begin += batch) {
    const int64_t count = std::min(batch, total - begin);
    const Batch some = pictures.batch(
        {.indices = {indices.begin() + begin, indices.begin() + begin + count}, .flips = {}});
    BitsOptions part = options;
    part.first = options.first + begin;
    const std::vector<double> values = bits_per_dim(
        process,
        denoiser_for(network, inputs_of_pictures(config, by_name, some, network.device()), count),
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
