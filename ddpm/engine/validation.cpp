#include "ddpm/engine/validation.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>

#include "ddpm/autograd/functions.h"
#include "ddpm/base/error.h"
#include "ddpm/base/philox.h"
#include "ddpm/diffusion/initial_noise.h"
#include "ddpm/diffusion/noised_batch.h"
#include "ddpm/engine/picture_inputs.h"
#include "ddpm/engine/streams.h"

namespace ddpm {
namespace {

// At most `most` pictures, by rising hash.
std::vector<int64_t> chosen(const std::vector<uint64_t>& hashes, int64_t most) {
  std::vector<int64_t> order(hashes.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return hashes[static_cast<size_t>(a)] < hashes[static_cast<size_t>(b)];
  });
  order.resize(std::min(order.size(), static_cast<size_t>(most)));
  return order;
}

Tensor rows_of(const Tensor& all, int64_t n) {
  return all.defined() ? all.rows(n, n + 1) : Tensor();
}

}  // namespace

Validation::Validation(std::shared_ptr<const Pictures> pictures,
                       const std::vector<uint64_t>& hashes, const ModelConfig& config,
                       const ValidationOptions& options)
    : pictures_(std::move(pictures)),
      config_(config),
      labels_(config.labels_of_classes(pictures_->class_names())),
      process_(config.process),
      loss_(options.loss) {
  DDPM_CHECK(!hashes.empty() && std::ssize(hashes) == pictures_->size() && options.most >= 1);
  check_pictures_fit("train", config, *pictures_);
  const std::vector<int64_t> order = chosen(hashes, options.most);
  const int64_t rounds =
      std::max<int64_t>((options.least + std::ssize(order) - 1) / std::ssize(order), 1);
  const int64_t count = rounds * std::ssize(order);
  const uint64_t noise = seed_of(options.seed, Stream::kValidation);
  for (int64_t round = 0; round < rounds; ++round) {
    for (const int64_t picture : order) {
      const uint64_t of_picture = mix_seed(noise, hashes[static_cast<size_t>(picture)]);
      const double q = (static_cast<double>(uses_.size()) + 0.5) / static_cast<double>(count);
      uses_.push_back({.picture = picture,
                       .noise_seed = mix_seed(of_picture, static_cast<uint64_t>(round)),
                       .level = process_.at_quantile(q)});
    }
  }
  // Quantiles need not rise with the noise.
  std::vector<Use*> by_noise;
  for (Use& use : uses_) by_noise.push_back(&use);
  std::stable_sort(by_noise.begin(), by_noise.end(), [](const Use* a, const Use* b) {
    return a->level.log_snr() > b->level.log_snr();
  });
  for (int64_t rank = 0; rank < count; ++rank)
    by_noise[static_cast<size_t>(rank)]->bin = rank * kBins / count;
}

std::vector<double> Validation::losses(const Network& network, int64_t begin, int64_t end) const {
  BatchPlan plan;
  std::vector<uint64_t> seeds;
  std::vector<NoiseLevel> levels;
  for (int64_t k = begin; k < end; ++k) {
    const Use& use = uses_[static_cast<size_t>(k)];
    plan.indices.push_back(use.picture);
    seeds.push_back(use.noise_seed);
    levels.push_back(use.level);
  }
  const Device device = network.device();
  const Batch pictures = pictures_->batch(plan);
  const Tensor images = pictures.images.to(device);  // [N, H, W, C]
  const Shape image = {images.size(1), images.size(2), images.size(3)};
  const Tensor noise = noise_of(seeds, 0, process_.offset_noise(), image, device);  // [N, H, W, C]
  const NoisedBatch noised = noised_batch(process_, levels, images, noise);
  const ImageInputs told = inputs_of_pictures(config_, labels_, pictures, device);
  const NetworkInput input{.x = Variable(noised.input),
                           .t = noised.t,
                           .labels = told.labels,
                           .condition = Variable(told.condition)};
  const Tensor output = network(input).value();  // [N, H, W, C or 2 C]
  std::vector<double> result;
  for (int64_t n = 0; n < end - begin; ++n) {
    const Variable own(rows_of(output, n));
    const Tensor target = rows_of(noised.target, n), weight = rows_of(noised.weights, n);
    const Loss loss = process_.learned_variance()
                          ? hybrid_loss(loss_, own, target, weight,
                                        {.x0 = rows_of(noised.x0, n),
                                         .levels = {noised.bounds[static_cast<size_t>(n)]},
                                         .weight = process_.bound_weight(),
                                         .target = rows_of(noised.bound_target, n)})
                          : mean_loss(loss_, own, target, weight);
    result.push_back(loss.value);
  }
  return result;
}

std::optional<ValidationLoss> Validation::loss(const Network& network, int64_t batch,
                                               const std::function<bool(int64_t)>& go_on) const {
  DDPM_CHECK(batch >= 1);
  ValidationLoss result{.by_level = std::vector<double>(kBins, 0.0)};
  std::vector<int64_t> counts(kBins, 0);
  for (int64_t begin = 0; begin < count(); begin += batch) {
    if (go_on && !go_on(begin)) return std::nullopt;
    const int64_t end = std::min(begin + batch, count());
    const std::vector<double> some = losses(network, begin, end);
    for (int64_t k = begin; k < end; ++k) {
      const auto bin = static_cast<size_t>(uses_[static_cast<size_t>(k)].bin);
      const double loss = some[static_cast<size_t>(k - begin)];
      result.mean += loss;
      result.by_level[bin] += loss;
      ++counts[bin];
    }
  }
  result.mean /= static_cast<double>(count());
  if (!std::isfinite(result.mean))
    fail("train", fmt::format("the loss of the pictures held out became {}", result.mean));
  for (size_t bin = 0; bin < counts.size(); ++bin)
    result.by_level[bin] /= static_cast<double>(counts[bin]);
  return result;
}

int64_t usual_validation_interval(int64_t count, int64_t batch) {
  const int64_t wanted = (16 * count + batch - 1) / batch;
  for (int64_t power = 1;; power *= 10) {
    for (const int64_t lead : {1, 2, 5})
      if (lead * power >= wanted) return lead * power;
  }
}

}  // namespace ddpm
