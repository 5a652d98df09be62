// Which images generate() draws: their places, their classes and their noise.
#include <gtest/gtest.h>

#include <set>

#include "ddpm/base/error.h"
#include "ddpm/diffusion/initial_noise.h"
#include "ddpm/engine/generator.h"
#include "ddpm/engine/trainer_test_support.h"

namespace ddpm {
namespace {

using test::config_with_classes;
using test::labelled_pictures;
using test::small_options;
using test::small_trainer;

TEST(Generate, AnImageIsTheSameWhateverStandsBesideIt) {
  Trainer trainer = small_trainer();
  trainer.step();
  const auto draw = [&](GenerateOptions options) {
    options.sampling.steps = 4;
    options.seed = 3;
    return generate(trainer.network(), trainer.config(), options);
  };
  const Tensor all = draw({.count = 5, .batch = 5});
  EXPECT_EQ(draw({.count = 5, .batch = 2}).values(), all.values());
  EXPECT_EQ(draw({.count = 1, .first = 3}).values(), all.rows(3, 4).values());
  EXPECT_NE(all.rows(0, 1).values(), all.rows(1, 2).values());
}

// Image j of a class begins with the noise of image j of the seed, whatever the class.
TEST(Generate, ImagesOfAllClassesBeginWithTheSameNoise) {
  using Seeds = std::vector<uint64_t>;
  const Seeds plain = generated_seeds({.count = 3, .seed = 5, .first = 2}, 0, 3);
  const GenerateOptions classed{.count = 3, .seed = 5, .first = 2, .labels = {1, 0}};
  const Seeds both = generated_seeds(classed, 0, 6);
  ASSERT_EQ(both.size(), 6u);
  EXPECT_EQ(Seeds(both.begin(), both.begin() + 3), plain);
  EXPECT_EQ(Seeds(both.begin() + 3, both.end()), plain);
  EXPECT_EQ(std::set<uint64_t>(plain.begin(), plain.end()).size(), 3u);
  // Batches and calls that begin elsewhere are parts of the same list.
  EXPECT_EQ(generated_seeds(classed, 2, 3), Seeds(both.begin() + 2, both.begin() + 5));
  EXPECT_EQ(generated_seeds({.count = 1, .seed = 5, .first = 4}, 0, 1), Seeds{plain[2]});
  EXPECT_EQ(plain, image_seeds(5, 2, 3));
  EXPECT_NE(generated_seeds({.count = 3, .seed = 6, .first = 2}, 0, 3), plain);
}

class GenerateClasses : public ::testing::Test {
 protected:
  GenerateClasses() {
    for (int i = 0; i < 3; ++i) trainer_.step();
  }
  Tensor draw(GenerateOptions options) {
    options.sampling.steps = 4;
    options.seed = 3;
    return generate(trainer_.network(), trainer_.config(), options);
  }

  TrainOptions options_ = small_options();
  Trainer trainer_{options_.optimizer, config_with_classes(options_), labelled_pictures};
};

TEST_F(GenerateClasses, AnImageDependsOnItsClassAndItsPlaceInIt) {
  const Tensor both = draw({.count = 3, .labels = {1, 0}, .batch = 4});
  ASSERT_EQ(both.shape(), (Shape{6, 4, 6, 1}));
  EXPECT_EQ(draw({.count = 3, .labels = {1}}).values(), both.rows(0, 3).values());
  EXPECT_EQ(draw({.count = 2, .labels = {0}, .batch = 1}).values(), both.rows(3, 5).values());
  EXPECT_EQ(draw({.count = 1, .first = 2, .labels = {0}}).values(), both.rows(5, 6).values());
  EXPECT_NE(both.rows(0, 1).values(), both.rows(3, 4).values());
}

TEST_F(GenerateClasses, AllClassesTakeTurnsWhereNoneIsNamed) {
  const Tensor turns = draw({.count = 4});
  const Tensor each = draw({.count = 4, .labels = {0, 1}});
  for (int64_t k = 0; k < 4; ++k) {
    const int64_t row = k % 2 * 4 + k;
    EXPECT_EQ(turns.rows(k, k + 1).values(), each.rows(row, row + 1).values()) << k;
  }
  EXPECT_EQ(draw({.count = 1, .first = 3}).values(), turns.rows(3, 4).values());
}

TEST_F(GenerateClasses, GuidanceOf1IsNoneAndOf0IsWithoutClasses) {
  const Tensor plain = draw({.count = 2, .labels = {0}});
  EXPECT_EQ(draw({.count = 2, .labels = {0}, .guidance = 1}).values(), plain.values());
  EXPECT_EQ(draw({.count = 2, .labels = {0}, .guidance = 1, .guidance_rescale = 0.7}).values(),
            plain.values());
  const Tensor none = draw({.count = 2, .labels = {-1}});
  EXPECT_EQ(draw({.count = 2, .labels = {0}, .guidance = 0}).values(), none.values());
  EXPECT_NE(none.values(), plain.values());
  const Tensor guided = draw({.count = 2, .labels = {0}, .guidance = 3});
  EXPECT_NE(guided.values(), plain.values());
  EXPECT_NE(draw({.count = 2, .labels = {0}, .guidance = 3, .guidance_rescale = 1}).values(),
            guided.values());
}

TEST_F(GenerateClasses, GuidedImagesAreTheSameInEveryBatch) {
  const Tensor all = draw({.count = 3, .labels = {1, 0}, .guidance = 2.5, .batch = 6});
  for (const int64_t batch : {1, 2, 4})
    EXPECT_EQ(draw({.count = 3, .labels = {1, 0}, .guidance = 2.5, .batch = batch}).values(),
              all.values());
}

TEST_F(GenerateClasses, WhatTheModelDoesNotKnowIsRefused) {
  EXPECT_THROW(draw({.labels = {2}}), UsageError);
  EXPECT_THROW(draw({.labels = {-2}}), UsageError);
  EXPECT_THROW(draw({.guidance = -1}), UsageError);
  EXPECT_THROW(draw({.guidance_rescale = 1.5}), UsageError);
  Trainer without = small_trainer();
  EXPECT_THROW(generate(without.network(), without.config(), {.labels = {0}}), UsageError);
  EXPECT_THROW(generate(without.network(), without.config(), {.guidance = 2}), UsageError);
}

TEST(Generate, RequestsThatCannotWorkAreRefused) {
  Trainer trainer = small_trainer();
  ModelConfig unknown = trainer.config();
  unknown.height = unknown.width = 0;
  EXPECT_THROW(generate(trainer.network(), unknown, {}), UsageError);
  EXPECT_THROW(generate(trainer.network(), trainer.config(), {.count = 0}), UsageError);
  EXPECT_THROW(generate(trainer.network(), trainer.config(), {.sampling = {.steps = 5000}}),
               UsageError);
  EXPECT_THROW(generate(trainer.network(), trainer.config(), {.height = 5, .width = 6}),
               UsageError);
}

}  // namespace
}  // namespace ddpm
