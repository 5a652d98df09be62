// Bytes in memory and counter-based choice: a step's pictures follow from its number alone.
#include "ddpm/data/dataset.h"

#include <fmt/core.h>

#include <algorithm>
#include <numeric>

#include "ddpm/base/error.h"
#include "ddpm/base/philox.h"
#include "ddpm/base/threads.h"

namespace ddpm {
namespace {

// Set the sampler's numbers apart from others drawn with the same seed.
constexpr uint64_t kOrderStream = 0x6f72646572;
constexpr uint64_t kFlipStream = 0x666c6970;

}  // namespace

Dataset::Dataset(Tensor images, std::string name)
    : images_(std::move(images)), name_(std::move(name)) {
  const bool good = images_.defined() && images_.dtype() == DType::kUInt8 &&
                    images_.shape().rank() == 4 && images_.elements() > 0 &&
                    (channels() == 1 || channels() == 3 || channels() == 4);
  if (!good) {
    fail("dataset", fmt::format("needs bytes [N, H, W, 1, 3 or 4] with N >= 1, not {} {}",
                                name_of(images_.dtype()), images_.shape().str()));
  }
}

Tensor Dataset::batch(const BatchPlan& plan) const {
  const auto count = static_cast<int64_t>(plan.indices.size());
  if (!plan.flips.empty() && static_cast<int64_t>(plan.flips.size()) != count)
    fail("dataset", fmt::format("{} flips for {} pictures", plan.flips.size(), count));
  for (const int64_t index : plan.indices) {
    if (index < 0 || index >= size())
      fail("dataset", fmt::format("there is no picture {} among {}", index, size()));
  }
  const int64_t height = images_.size(1), width = images_.size(2), channels = images_.size(3);
  const int64_t row = width * channels;
  Tensor result({count, height, width, channels});
  const auto floating = [](uint8_t byte) { return static_cast<float>(byte) / 127.5f - 1.0f; };
  parallel_for(count, 4, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      const uint8_t* in = images_.u8() + plan.indices[k] * height * row;
      float* out = result.f32() + k * height * row;
      if (plan.flips.empty() || plan.flips[k] == 0) {
        std::transform(in, in + height * row, out, floating);
        continue;
      }
      for (int64_t y = 0; y < height; ++y, in += row, out += row) {
        for (int64_t x = 0; x < width; ++x) {
          const uint8_t* pixel = in + (width - 1 - x) * channels;
          std::transform(pixel, pixel + channels, out + x * channels, floating);
        }
      }
    }
  });
  return result;
}

BatchSampler::BatchSampler(const SamplerOptions& options) : options_(options) {
  if (options_.images < 1) fail_usage("batches", "there are no pictures to draw from");
  if (options_.batch < 1)
    fail_usage("batches", fmt::format("a batch of {} is empty; give 1 or more", options_.batch));
}

// Fisher-Yates.
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
  BatchPlan plan;
  plan.indices.reserve(static_cast<size_t>(options_.batch));
  plan.flips.reserve(static_cast<size_t>(options_.batch));
  for (int64_t k = 0; k < options_.batch; ++k) {
    const int64_t position = step * options_.batch + k;
    if (const int64_t epoch = position / options_.images; epoch != epoch_) shuffle(epoch);
    plan.indices.push_back(permutation_[position % options_.images]);
    plan.flips.push_back(options_.flip ? coin.bits(static_cast<uint64_t>(position)) & 1 : 0);
  }
  return plan;
}

}  // namespace ddpm
