#include "ddpm/engine/held_out_loss.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ddpm/data/dataset.h"
#include "ddpm/diffusion/noised_batch.h"
#include "ddpm/engine/streams.h"
#include "ddpm/engine/trainer.h"
#include "ddpm/nn/tutorial/unet.h"
#include "tests/support/errors.h"
#include "tests/support/threads.h"

namespace ddpm {
namespace {

TrainOptions options_of() {
  TrainOptions options;
  options.network = tutorial::UnetConfig{.dim = 8, .dim_mults = {1, 2}, .heads = 1, .dim_head = 8};
  options.optimizer.batch = 4;
  options.optimizer.lr = 5e-3;
  options.optimizer.lr_warmup = 0;
  return options;
}

std::shared_ptr<const Pictures> some_pictures(int64_t channels = 1) {
  std::vector<float> pixels(static_cast<size_t>(6 * 4 * 4 * channels));
  for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = i / 8 % 2 == 0 ? 0.8f : -0.8f;
  return array_pictures(pixels, {6, 4, 4, channels});
}

Trainer trainer_of(const TrainOptions& options, const std::shared_ptr<const Pictures>& pictures) {
  return Trainer(options.optimizer, options.model_config(4, 4, 1), [pictures](int64_t step) {
    const int64_t first = step % 2;
    return pictures->batch({.indices = {first, first + 1, first + 2, first + 3}, .flips = {}});
  });
}

double loss_of(Trainer& trainer, const Pictures& pictures, const HeldOutOptions& options = {}) {
  return held_out_loss(trainer.network(), trainer.config(), pictures, {0, 1, 2, 3, 4, 5}, options);
}

TEST(HeldOutLoss, FallsWithTraining) {
  const auto pictures = some_pictures();
  Trainer trainer = trainer_of(options_of(), pictures);
  const double before = loss_of(trainer, *pictures);
  for (int i = 0; i < 60; ++i) trainer.step();
  EXPECT_LT(loss_of(trainer, *pictures), 0.7 * before);
}

TEST(HeldOutLoss, IsTheMeanSquareOfTheNetworksError) {
  for (const bool learned : {false, true}) {
    TrainOptions options = options_of();
    options.process.weighting = "min-snr";
    options.process.learned_variance = learned;
    const auto pictures = some_pictures();
    Trainer trainer = trainer_of(options, pictures);
    // The initial network is nearly 0.
    for (int i = 0; i < 5; ++i) trainer.step();
    const Batch batch = pictures->batch({.indices = {2, 5}, .flips = {}});
    const NoisedBatch noised = noised_batch(
        Process(trainer.config().process),
        {.levels = seed_of(3, Stream::kHeldOutLevels), .noise = seed_of(3, Stream::kHeldOutNoise)},
        0, batch.images);
    const Tensor output = trainer.network()({.x = Variable(noised.input), .t = noised.t}).value();
    ASSERT_EQ(output.size(3), learned ? 2 : 1);
    double want = 0;
    for (int64_t i = 0; i < 32; ++i) {
      const double error = output.f32()[i * output.size(3)] - noised.target.f32()[i];
      want += noised.weights.f32()[i / 16] * error * error / 32;
    }
    const double got = held_out_loss(trainer.network(), trainer.config(), *pictures, {2, 5},
                                     {.repeats = 1, .seed = 3});
    EXPECT_NEAR(got, want, 1e-5 * want);
  }
}

TEST(HeldOutLoss, DependsOnTheSeedButNotOnTheBatchOrTheThreads) {
  const test::ThreadsScope scope(1);
  const auto pictures = some_pictures();
  Trainer trainer = trainer_of(options_of(), pictures);
  for (int i = 0; i < 5; ++i) trainer.step();
  const double loss = loss_of(trainer, *pictures);
  EXPECT_EQ(loss_of(trainer, *pictures, {.batch = 5}), loss);
  set_num_threads(3);
  EXPECT_EQ(loss_of(trainer, *pictures, {.batch = 1}), loss);
  EXPECT_NE(loss_of(trainer, *pictures, {.seed = 1}), loss);
}

TEST(HeldOutLoss, RefusesPicturesThatDoNotFit) {
  const auto pictures = some_pictures(), coloured = some_pictures(3);
  Trainer trainer = trainer_of(options_of(), pictures);
  EXPECT_NE(
      test::refusal([&] { loss_of(trainer, *coloured); }).find("the pictures have 3 channels"),
      std::string::npos);
  EXPECT_NE(test::refusal([&] {
              held_out_loss(trainer.network(), trainer.config(), *pictures, {});
            }).find("no pictures"),
            std::string::npos);
}

}  // namespace
}  // namespace ddpm
