#include "ddpm/eval/quality.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ddpm/base/philox.h"
#include "ddpm/eval/frechet.h"
#include "ddpm/eval/kernel_distance.h"
#include "ddpm/eval/manifold.h"

namespace ddpm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Tensor normal_set(uint64_t seed, int64_t count, int64_t width) {
  Tensor set({count, width});
  Philox(seed).normal(0, set.elements(), set.f32());
  return set;
}

TEST(Quality, HoldsEveryFigure) {
  const Tensor real = normal_set(1, 90, 5), generated = normal_set(2, 80, 5);
  const QualityFigures got = quality_figures(real, generated);
  EXPECT_EQ(got.n, 80);
  EXPECT_EQ(got.n_real, 90);
  EXPECT_EQ(got.n_manifold, 80);
  EXPECT_EQ(got.frechet, frechet_distance(feature_statistics(real), feature_statistics(generated)));
  EXPECT_EQ(got.kernel, kernel_distance(real, generated).value);
  EXPECT_GT(got.precision, 0.5);
  EXPECT_GT(got.recall, 0.5);
  EXPECT_GT(got.density, 0.5);
  EXPECT_GT(got.coverage, 0.5);
  EXPECT_THAT(got.warnings, IsEmpty());
}

TEST(Quality, SaysWhenPicturesAreTooFew) {
  const QualityFigures biased = quality_figures(normal_set(1, 50, 8), normal_set(2, 8, 8));
  EXPECT_TRUE(biased.frechet);
  EXPECT_THAT(biased.warnings, ElementsAre(HasSubstr("8 generated pictures do not determine the "
                                                     "covariance of 8 features; at least 9")));
  const QualityFigures without =
      quality_figures(normal_set(1, 5, 8), normal_set(2, 90, 8), {.frechet_of_few = false});
  EXPECT_FALSE(without.frechet);
  EXPECT_TRUE(without.kernel);
  EXPECT_FALSE(without.precision);
  EXPECT_THAT(without.warnings, ElementsAre(HasSubstr("5 real pictures are too few"),
                                            HasSubstr("at least 6 of each")));
  const QualityFigures none = quality_figures(normal_set(1, 1, 8), normal_set(2, 90, 8));
  EXPECT_FALSE(none.kernel);
  EXPECT_THAT(none.warnings, ElementsAre(HasSubstr("at least 2 of each")));
}

TEST(Quality, SaysWhenFeaturesAreConstant) {
  Tensor constant = normal_set(1, 30, 4);
  for (int64_t n = 0; n < 30; ++n) constant.f32()[4 * n] = constant.f32()[4 * n + 1] = 0.1f;
  EXPECT_THAT(quality_figures(normal_set(2, 30, 4), constant).warnings,
              ElementsAre("2 of 4 features are the same in all generated pictures"));
}

TEST(Quality, ComparesEqualNumbersOfNeighbours) {
  const Tensor real = normal_set(1, 400, 3), generated = normal_set(2, 60, 3);
  const QualityFigures got = quality_figures(real, generated, {.most_manifold = 50});
  EXPECT_EQ(got.n_manifold, 50);
  EXPECT_NE(got.recall, manifold_figures(real, generated).recall);
}

}  // namespace
}  // namespace ddpm
