#include "ddpm/diffusion/training/pairing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "ddpm/base/philox.h"
#include "ddpm/base/threads.h"
#include "ddpm/diffusion/noised_batch.h"
#include "tests/support/threads.h"

namespace ddpm {
namespace {

using Indices = std::vector<int64_t>;

Tensor random_images(int64_t count, uint64_t seed, int64_t side = 3) {
  Tensor images({count, side, side, 1});
  Philox(seed).normal(0, images.elements(), images.f32());
  return images;
}

double distance(const Tensor& a, int64_t i, const Tensor& b, int64_t j) {
  const int64_t elements = a.elements() / a.size(0);
  double sum = 0;
  for (int64_t k = 0; k < elements; ++k) {
    const double difference = double{a.f32()[i * elements + k]} - b.f32()[j * elements + k];
    sum += difference * difference;
  }
  return std::sqrt(sum);
}

double total(const Tensor& images, const Tensor& noise, const Indices& order, bool squared) {
  double sum = 0;
  for (size_t n = 0; n < order.size(); ++n) {
    const double d = distance(images, static_cast<int64_t>(n), noise, order[n]);
    sum += squared ? d * d : d;
  }
  return sum;
}

Indices counting(int64_t count) {
  Indices order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), int64_t{0});
  return order;
}

// Both minimise their own sum over all permutations. In these pictures the two best differ.
TEST(PairedNoise, ItsSumIsTheLeastOfAllPermutations) {
  int differ = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const Tensor images = random_images(6, 2 * seed, 1), noise = random_images(6, 2 * seed + 1, 1);
    Indices some[2];
    for (const bool squared : {false, true}) {
      const Indices order =
          paired_noise(squared ? Pairing::kOptimalTransport : Pairing::kImmiscible, images, noise);
      double least = std::numeric_limits<double>::infinity();
      Indices tried = counting(6);
      do {
        least = std::min(least, total(images, noise, tried, squared));
      } while (std::next_permutation(tried.begin(), tried.end()));
      EXPECT_NEAR(total(images, noise, order, squared), least, 1e-9);
      some[squared ? 1 : 0] = order;
    }
    differ += some[0] != some[1];
  }
  EXPECT_GT(differ, 0);
}

TEST(PairedNoise, NoneKeepsTheOrder) {
  EXPECT_EQ(paired_noise(Pairing::kNone, random_images(5, 1), random_images(5, 2)), counting(5));
}

TEST(PairedNoise, OnlyImagesOfOneSetExchangeNoises) {
  const Tensor images = random_images(40, 1), noise = random_images(40, 2);
  Tensor labels = Tensor::full({40}, -1);
  for (int64_t n = 0; n < 39; ++n) labels.f32()[n] = static_cast<float>(n % 3);
  const Indices sets = sets_told_apart({labels, Tensor()}, 40);
  const Indices order = paired_noise(Pairing::kOptimalTransport, images, noise, sets);
  std::set<int64_t> given;
  int64_t moved = 0;
  for (int64_t n = 0; n < 40; ++n) {
    EXPECT_EQ(labels.f32()[order[n]], labels.f32()[n]);
    given.insert(order[n]);
    moved += order[n] != n;
  }
  EXPECT_EQ(given.size(), 40u);
  EXPECT_GT(moved, 20);
  EXPECT_EQ(order[39], 39);
}

TEST(PairedNoise, SetsAreToldApartByEveryValue) {
  const Tensor labels = Tensor::of({4}, {0, 1, 0, 0});
  const Tensor more = Tensor::of({4, 2}, {1, 2, 1, 2, 1, 2, 1, 3});
  EXPECT_EQ(sets_told_apart({labels, more}, 4), (Indices{0, 1, 0, 3}));
  EXPECT_EQ(sets_told_apart({}, 2), (Indices{0, 0}));
}

// More than kMostPaired are paired in runs.
TEST(PairedNoise, LargeSetsArePairedInRuns) {
  const int64_t count = kMostPaired + 9;
  const Tensor images = random_images(count, 1, 1), noise = random_images(count, 2, 1);
  const Indices order = paired_noise(Pairing::kImmiscible, images, noise);
  for (int64_t n = 0; n < count; ++n) EXPECT_EQ(order[n] < kMostPaired, n < kMostPaired);
  const auto rows = [&](const Tensor& all) { return all.rows(kMostPaired, count); };
  const Indices last = paired_noise(Pairing::kImmiscible, rows(images), rows(noise));
  for (size_t i = 0; i < last.size(); ++i)
    EXPECT_EQ(order[kMostPaired + static_cast<int64_t>(i)], kMostPaired + last[i]);
}

TEST(PairedNoise, ThreadsChangeNothingAndNanIsNoReasonToStop) {
  const test::ThreadsScope scope;
  Tensor images = random_images(30, 1), noise = random_images(30, 2);
  images.f32()[5 * 9] = std::numeric_limits<float>::quiet_NaN();
  set_num_threads(1);
  const Indices order = paired_noise(Pairing::kImmiscible, images, noise);
  set_num_threads(3);
  EXPECT_EQ(paired_noise(Pairing::kImmiscible, images, noise), order);
  EXPECT_EQ(std::set<int64_t>(order.begin(), order.end()).size(), 30u);
}

// In a batch: the same noises in another order, in input and target alike, nearer to the images.
TEST(NoisedBatch, PairingReordersTheNoise) {
  const Tensor x0 = random_images(16, 1);
  const NoiseSeeds seeds{.levels = 5, .noise = 6};
  const Tensor drawn = noised_batch(Process({.objective = "flow"}), seeds, 32, x0).target;
  const Process process({.objective = "flow", .pairing = "ot"});
  const NoisedBatch batch = noised_batch(process, seeds, 32, x0);
  // The target of flow is noise - image.
  Tensor noise(x0.shape()), before(x0.shape());
  for (int64_t i = 0; i < x0.elements(); ++i) {
    noise.f32()[i] = batch.target.f32()[i] + x0.f32()[i];
    before.f32()[i] = drawn.f32()[i] + x0.f32()[i];
    const double t = batch.t.f32()[i / 9] / 1000;
    EXPECT_NEAR(batch.input.f32()[i], (1 - t) * x0.f32()[i] + t * noise.f32()[i], 1e-5);
  }
  EXPECT_LT(total(x0, noise, counting(16), true), 0.8 * total(x0, before, counting(16), true));
  for (int64_t n = 0; n < 16; ++n) {
    double nearest = 1;
    for (int64_t m = 0; m < 16; ++m) nearest = std::min(nearest, distance(noise, n, before, m));
    EXPECT_LT(nearest, 1e-5) << n;
  }
  // Told apart, each image keeps its own.
  Tensor labels({16});
  for (int64_t n = 0; n < 16; ++n) labels.f32()[n] = static_cast<float>(n);
  EXPECT_EQ(noised_batch(process, seeds, 32, x0, {.told = {labels}}).target.values(),
            drawn.values());
}

TEST(NoisedBatch, LowDiscrepancyLevelsSpreadOverTheBatch) {
  const Tensor x0 = random_images(10, 1);
  const NoiseSeeds seeds{.levels = 5, .noise = 6};
  const ProcessConfig configs[] = {{.timesteps = 10, .low_discrepancy = true},
                                   {.objective = "edm", .low_discrepancy = true},
                                   {.objective = "flow", .low_discrepancy = true}};
  for (const ProcessConfig& config : configs) {
    const Process process(config);
    const NoisedBatch all = noised_batch(process, seeds, 40, x0);
    std::vector<float> t = all.t.values();
    const NoisedBatch part =
        noised_batch(process, seeds, 43, x0.rows(3, 5), {.batch = {.first = 40, .count = 10}});
    EXPECT_EQ(part.t.values(), std::vector<float>(t.begin() + 3, t.begin() + 5));
    EXPECT_EQ(part.target.values(), all.target.rows(3, 5).values());
    EXPECT_FALSE(std::is_sorted(t.begin(), t.end()));
    std::sort(t.begin(), t.end());
    // One in each tenth of the distribution.
    for (int64_t i = 0; i < 10; ++i) {
      if (config.objective == "eps") {
        EXPECT_EQ(t[i], i);
      } else {
        const double q = (static_cast<double>(i) + 0.5) / 10;
        const auto end = [&](double shift) {
          const double at = std::clamp(q + shift, 1e-9, 1 - 1e-9);
          return process.at_quantile(config.objective == "flow" ? 1 - at : at).t;
        };
        EXPECT_GT(t[i], end(-0.0500001));
        EXPECT_LT(t[i], end(0.0500001));
      }
    }
  }
}

}  // namespace
}  // namespace ddpm
