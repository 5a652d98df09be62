#include "ddpm/diffusion/noised_batch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "ddpm/base/error.h"
#include "ddpm/base/philox.h"
#include "ddpm/diffusion/objective.h"
#include "ddpm/diffusion/sampler_test_support.h"
#include "ddpm/kernels/backend.h"

namespace ddpm::test {
namespace {

TEST(AddNoise, GivesEachImageItsOwnStep) {
  const Schedule schedule("linear");
  const Tensor x0 = Tensor::of({2, 1, 1, 2}, {1, -1, 0.5, 0});   // [N, H, W, C]
  const Tensor noise = Tensor::of({2, 1, 1, 2}, {2, 0, -1, 1});  // [N, H, W, C]
  Tensor xt(x0.shape());                                         // [N, H, W, C]
  add_noise({schedule.level(0), schedule.level(700)}, x0, noise, xt);
  const auto mixed = [&](int64_t t, double x, double e) {
    return std::sqrt(schedule.alpha_bar(t)) * x + std::sqrt(1 - schedule.alpha_bar(t)) * e;
  };
  const std::vector<float> values = xt.values();
  EXPECT_NEAR(values[0], mixed(0, 1, 2), 1e-6);
  EXPECT_NEAR(values[1], mixed(0, -1, 0), 1e-6);
  EXPECT_NEAR(values[2], mixed(700, 0.5, -1), 1e-6);
  EXPECT_NEAR(values[3], mixed(700, 0, 1), 1e-6);
}

TEST(AddNoise, RefusesWhatDoesNotFit) {
  const Schedule schedule("linear", 10);
  const NoiseLevel level = schedule.level(1);
  const Tensor x0 = Tensor::zeros({2, 1, 1, 2});
  Tensor xt(x0.shape()), narrow({2, 1, 1, 1});
  EXPECT_THROW(add_noise({level}, x0, x0, xt), Error);
  EXPECT_THROW(add_noise({level, level}, x0, narrow, xt), Error);
  EXPECT_THROW(add_noise({level, level}, x0, x0, narrow), Error);
  EXPECT_THROW(noised_batch(Process({}), {level}, x0, x0), Error);
  EXPECT_THROW(schedule.level(10), Error);
  EXPECT_THROW(schedule.level(-1), Error);
}

// Images and noise of random numbers.
Tensor random_images(int64_t count, uint64_t seed) {
  Tensor images({count, 2, 3, 1});
  Philox(seed).normal(0, images.elements(), images.f32());
  return images;
}

TEST(NoisedBatch, InputAndTargetFollowTheObjective) {
  const Tensor x0 = random_images(3, 1), noise = random_images(3, 2);
  for (const std::string& name : objective_names()) {
    const Process process({.timesteps = 50, .objective = name});
    const Philox random(7);
    std::vector<NoiseLevel> levels;
    for (const uint64_t i : {0, 1, 2}) levels.push_back(process.draw(random, i));
    const NoisedBatch batch = noised_batch(process, levels, x0, noise);
    for (int64_t i = 0; i < x0.elements(); ++i) {
      const NoiseLevel& level = levels[static_cast<size_t>(i / 6)];
      const Preconditioning p = process.preconditioning(level);
      const double x = x0.f32()[i], e = noise.f32()[i];
      const double noisy = level.alpha() * x + level.sigma() * e;
      EXPECT_NEAR(batch.input.f32()[i], p.c_in * noisy, 1e-6) << name;
      EXPECT_NEAR(batch.target.f32()[i], p.target_x0 * x + p.target_noise * e, 1e-6) << name;
      EXPECT_EQ(batch.t.f32()[i / 6], static_cast<float>(level.t)) << name;
    }
  }
}

// The target never depends on something that a network which knows the data could not know: if all
// images are the same, its loss is 0.
TEST(NoisedBatch, AnExactDenoiserHasNoLoss) {
  const Gaussian image = {{0.3, -0.2, 0.1, -0.4}, {}};
  Tensor x0({8, 1, 2, 2});
  for (int64_t i = 0; i < x0.elements(); ++i)
    x0.f32()[i] = static_cast<float>(image.mean[static_cast<size_t>(i % kD)]);
  for (const std::string& name : objective_names()) {
    const Trained trained("linear", 1000, name);
    const Denoiser exact = exact_denoiser(trained, image);
    for (uint64_t position = 0; position < 50; ++position) {
      const NoisedBatch batch =
          noised_batch(trained.process, {.levels = 1, .noise = 2}, position, x0.rows(0, 1));
      const Tensor output = exact(batch.input, batch.t);
      // The network's input is rounded. This error grows as the noise or the image vanishes.
      const NoiseLevel level = trained.level(batch.t.f32()[0]);
      const double bound = 1e-6 * (1 / level.sigma() + 1 / level.alpha() + level.sigma());
      EXPECT_LT(largest_difference(output, batch.target), bound) << name << " " << level.t;
    }
  }
}

// An output that hits the target estimates the images themselves, clipped as in sampling, whatever
// the half of the variance holds.
TEST(EstimateOf, TheTargetGivesTheImagesClipped) {
  const Tensor x0 = random_images(5, 1), noise = random_images(5, 2);
  const std::vector<float> images = x0.values();
  const auto [least, most] = std::minmax_element(images.begin(), images.end());
  ASSERT_TRUE(*least < -1 && *most > 1);
  for (const std::string& name : objective_names()) {
    const Process process({.timesteps = 50, .objective = name});
    std::vector<NoiseLevel> levels;
    for (const uint64_t i : {0, 1, 2, 3, 4}) levels.push_back(process.draw(Philox(7), i));
    const NoisedBatch batch = noised_batch(process, levels, x0, noise);
    const Tensor variance = random_images(5, 3);
    Tensor doubled({5, 2, 3, 2});
    backend_for(doubled.device())
        .run(op::ConcatChannels{.a = batch.target, .b = variance, .y = doubled});
    const Tensor estimate = estimate_of(batch, batch.target);
    ASSERT_EQ(estimate.shape(), x0.shape());
    for (int64_t i = 0; i < x0.elements(); ++i) {
      // Input and target are rounded. The objective multiplies their errors.
      const Preconditioning& use = batch.uses[static_cast<size_t>(i / 6)];
      const double bound = 1e-6 * (1 + use.c_skip / use.c_in + std::abs(use.c_out));
      ASSERT_NEAR(estimate.f32()[i], std::clamp(x0.f32()[i], -1.0f, 1.0f), bound) << name;
    }
    EXPECT_EQ(estimate_of(batch, doubled).values(), estimate.values()) << name;
  }
}

TEST(EstimateOf, FollowsTheOutputUpToTheEnds) {
  const Tensor x0 = Tensor::full({1, 1, 1, 4}, 0.5f);
  const NoisedBatch batch =
      noised_batch(Process({.objective = "x0"}), {Schedule("linear").level(3)}, x0, x0);
  EXPECT_EQ(estimate_of(batch, Tensor::of({1, 1, 1, 4}, {-7, -0.25f, 0.75f, 1.5f})).values(),
            (std::vector<float>{-1, -0.25f, 0.75f, 1}));
}

TEST(NoisedBatch, ATargetThatIsThereIsNotCopied) {
  const Tensor x0 = random_images(2, 1), noise = random_images(2, 2);
  const std::vector<NoiseLevel> levels(2, Schedule("linear").level(3));
  EXPECT_EQ(noised_batch(Process({.objective = "eps"}), levels, x0, noise).target.f32(),
            noise.f32());
  EXPECT_EQ(noised_batch(Process({.objective = "x0"}), levels, x0, noise).target.f32(), x0.f32());
}

TEST(NoisedBatch, WeightsAreThereWhereOneIsNotOne) {
  const Tensor x0 = random_images(2, 1), noise = random_images(2, 2);
  const std::vector<NoiseLevel> levels(2, Schedule("linear").level(3));
  EXPECT_FALSE(noised_batch(Process({}), levels, x0, noise).weights.defined());
  Preconditioning once = find_objective("eps").at(levels[0]), twice = once;
  twice.weight = 2;
  const NoisedBatch batch =
      noised_batch(levels, {once, twice}, x0, {.target = noise, .input = noise});
  EXPECT_EQ(batch.weights.shape(), Shape({2}));
  EXPECT_EQ(batch.weights.values(), (std::vector<float>{1, 2}));
  EXPECT_THROW(noised_batch(levels, {once}, x0, {.target = noise, .input = noise}), Error);
}

TEST(NoisedBatch, AnImageDependsOnItsPositionAlone) {
  const Process process({.schedule = "cosine"});
  const NoiseSeeds seeds{.levels = 5, .noise = 6};
  const Tensor x0 = random_images(4, 1);
  const NoisedBatch all = noised_batch(process, seeds, 100, x0);
  const NoisedBatch last = noised_batch(process, seeds, 102, x0.rows(2, 4));
  const auto same = [](const Tensor& a, const Tensor& b) {
    return a.shape() == b.shape() &&
           std::memcmp(a.f32(), b.f32(), static_cast<size_t>(a.bytes())) == 0;
  };
  EXPECT_TRUE(same(all.input.rows(2, 4), last.input));
  EXPECT_TRUE(same(all.target.rows(2, 4), last.target));
  EXPECT_TRUE(same(all.t.rows(2, 4), last.t));
  EXPECT_FALSE(same(all.target.rows(0, 2), last.target));
}

// Offset noise: each channel of an image has a part that all its pixels share, here told from the
// mean over very many of them.
TEST(NoisedBatch, OffsetNoiseIsSharedByThePixelsOfAChannel) {
  constexpr double kOffset = 3;
  const Tensor x0 = Tensor::zeros({2, 100, 100, 2});
  const Process process({.offset_noise = kOffset});
  const NoiseSeeds seeds{.levels = 5, .noise = 6};
  const Tensor with = noised_batch(process, seeds, 0, x0).target;
  const Tensor without = noised_batch(Process({}), seeds, 0, x0).target;
  std::vector<double> shared(4);
  for (int64_t i = 0; i < x0.elements(); ++i) {
    const auto place = static_cast<size_t>(i / 20000 * 2 + i % 2);
    const double more = (with.f32()[i] - without.f32()[i]) / kOffset;
    if (i % 20000 < 2) shared[place] = more;
    ASSERT_NEAR(more, shared[place], 1e-5) << i;
  }
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_GT(std::abs(shared[i]), 1e-3);
    EXPECT_NE(shared[i], shared[(i + 1) % 4]);
  }
}

TEST(NoisedBatch, InputPerturbationIsInTheInputAlone) {
  constexpr double kMore = 0.5;
  const Tensor x0 = random_images(4000, 1);
  const NoiseSeeds seeds{.levels = 5, .noise = 6, .perturbation = 7};
  const Process process({.objective = "v", .input_perturbation = kMore}), plain({.objective = "v"});
  const NoisedBatch with = noised_batch(process, seeds, 0, x0);
  const NoisedBatch without = noised_batch(plain, seeds, 0, x0);
  EXPECT_EQ(with.target.values(), without.target.values());
  EXPECT_EQ(with.t.values(), without.t.values());
  double sum = 0;
  for (int64_t i = 0; i < x0.elements(); ++i) {
    const NoiseLevel level = Schedule("linear").level(static_cast<int64_t>(with.t.f32()[i / 6]));
    const double further = (with.input.f32()[i] - without.input.f32()[i]) / level.sigma();
    sum += further * further;
  }
  const double count = static_cast<double>(x0.elements());
  EXPECT_NEAR(sum / count, kMore * kMore, 5 * kMore * kMore * std::sqrt(2 / count));
}

// The bound asks how far the network's step is from that of the image behind its input. With input
// perturbation the input contains other noise than the target of the loss.
TEST(NoisedBatch, TheBoundsTargetTellsTheImageBehindTheInput) {
  const Tensor x0 = random_images(8, 1);
  const NoiseSeeds seeds{.levels = 5, .noise = 6, .perturbation = 7};
  for (const std::string objective : {"eps", "x0", "v"}) {
    SCOPED_TRACE(objective);
    ProcessConfig config{.objective = objective, .learned_variance = true};
    EXPECT_FALSE(noised_batch(Process(config), seeds, 0, x0).bound_target.defined());
    config.input_perturbation = 0.5;
    const NoisedBatch batch = noised_batch(Process(config), seeds, 0, x0);
    for (int64_t i = 0; i < x0.elements(); ++i) {
      const Preconditioning& use = batch.uses[static_cast<size_t>(i / 6)];
      const double image =
          use.c_skip * batch.input.f32()[i] + use.c_out * batch.bound_target.f32()[i];
      // c_out of eps reaches 158 at the last time step.
      EXPECT_NEAR(image, x0.f32()[i], 1e-6 * (1 + std::abs(use.c_out)));
    }
    EXPECT_EQ(batch.target.values() == batch.bound_target.values(), objective == "x0");
  }
}

// Old runs must continue in the same way, so image n of step s must draw these numbers.
TEST(NoisedBatch, DrawsAreThoseOfOlderRuns) {
  const Process process({.timesteps = 1000});
  const Tensor x0 = random_images(2, 1);
  const NoisedBatch batch = noised_batch(process, {.levels = 5, .noise = 6}, 40, x0);
  Tensor noise(x0.shape());
  backend_for(noise.device())
      .run(op::Normal{.seeds = {mix_seed(6, 40), mix_seed(6, 41)}, .stream = 0, .x = noise});
  EXPECT_EQ(batch.target.values(), noise.values());
  for (const uint64_t n : {0, 1}) {
    EXPECT_EQ(batch.t.f32()[n], static_cast<float>(Philox(5).below(1000, 40 + n)));
  }
}

}  // namespace
}  // namespace ddpm::test
