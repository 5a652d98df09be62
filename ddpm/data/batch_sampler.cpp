// The choice uses counter-based random numbers: a step's pictures follow from its number alone.
#include "ddpm/data/batch_sampler.h"

#include <fmt/core.h>

#include <numeric>
#include <utility>

#include "ddpm/base/error.h"
#include "ddpm/base/philox.h"

namespace ddpm {
namespace {

// These streams keep the sampler's numbers apart from others that are drawn with the same seed.
constexpr uint64_t kOrderStream = 0x6f72646572;
constexpr uint64_t kFlipStream = 0x666c6970;
constexpr uint64_t kCropStream = 0x63726f70;

}  // namespace

BatchSampler::BatchSampler(const BatchSamplerOptions& options) : options_(options) {
  if (options_.images < 1) fail_usage("batches", "there are no pictures to draw from");
  if (options_.batch < 1)
    fail_usage("batches", fmt::format("a batch of {} is empty; give 1 or more", options_.batch));
}

// The Fisher-Yates shuffle.
void BatchSampler::shuffle(int64_t epoch) {
  const Philox random(mix_seed(options_.seed, kOrderStream), static_cast<uint64_t>(epoch));
  permutation_.resize(static_cast<size_t>(options_.images));
  std::iota(permutation_.begin(), permutation_.end(), int64_t{0});
  for (int64_t i = options_.images - 1; i > 0; --i) {
    const uint64_t j = random.below(static_cast<uint64_t>(i) + 1, static_cast<uint64_t>(i));
    std::swap(permutation_[i], permutation_[j]);
  }
  epoch_ = epoch;
}

BatchPlan BatchSampler::at(int64_t step) {
  DDPM_CHECK(step >= 0);
  const Philox coin(mix_seed(options_.seed, kFlipStream));
  const Philox place(mix_seed(options_.seed, kCropStream));
  BatchPlan plan;
  plan.indices.reserve(static_cast<size_t>(options_.batch));
  plan.flips.reserve(static_cast<size_t>(options_.batch));
  for (int64_t k = 0; k < options_.batch; ++k) {
    const int64_t position = step * options_.batch + k;
    if (const int64_t epoch = position / options_.images; epoch != epoch_) shuffle(epoch);
    plan.indices.push_back(permutation_[position % options_.images]);
    plan.flips.push_back(options_.flip ? coin.bits(static_cast<uint64_t>(position)) & 1 : 0);
    if (!options_.crop) continue;
    const auto first = static_cast<uint64_t>(2 * position);
    plan.crops.push_back(uint64_t{place.bits(first)} << 32 | place.bits(first + 1));
  }
  return plan;
}

}  // namespace ddpm
