#include "ddpm/diffusion/guidance.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "ddpm/base/error.h"

namespace ddpm {
namespace {

// What a network might say of two images of four values: with their classes, then without.
const std::vector<float> kClassed = {1, 2, 3, 6, -4, 0, 0, 4};
const std::vector<float> kNone = {0, 2, 2, 2, 1, 1, -1, -1};

Tensor outputs() {
  std::vector<float> all = kClassed;
  all.insert(all.end(), kNone.begin(), kNone.end());
  return Tensor::of({4, 2, 2, 1}, all);
}

std::vector<float> run(const Guidance& guidance) {
  const Denoiser both = [](const Tensor& x, const Tensor& t) {
    EXPECT_EQ(x.values(), (std::vector<float>{1, 1, 1, 1, 2, 2, 2, 2, 1, 1, 1, 1, 2, 2, 2, 2}));
    EXPECT_EQ(t.values(), (std::vector<float>{8, 9, 8, 9}));
    return outputs();
  };
  const Tensor x = Tensor::of({2, 2, 2, 1}, {1, 1, 1, 1, 2, 2, 2, 2});
  return guided(both, guidance)(x, Tensor::of({2}, {8, 9})).values();
}

double deviation(const std::vector<float>& values, size_t image) {
  double mean = 0, squares = 0;
  for (size_t i = 0; i < 4; ++i) mean += values[4 * image + i] / 4;
  for (size_t i = 0; i < 4; ++i) squares += std::pow(values[4 * image + i] - mean, 2) / 4;
  return std::sqrt(squares);
}

TEST(Guidance, LeadsFromNoClassThroughTheClassAndBeyond) {
  for (const double scale : {0.0, 0.5, 1.0, 3.0, 7.5}) {
    const std::vector<float> output = run({.scale = scale});
    for (size_t i = 0; i < output.size(); ++i)
      EXPECT_NEAR(output[i], kNone[i] + scale * (kClassed[i] - kNone[i]), 1e-5) << scale;
  }
}

TEST(Guidance, RescalingBringsTheDeviationBackAsFarAsItIsAsked) {
  const std::vector<float> plain = run({.scale = 3});
  for (const double share : {0.3, 0.7, 1.0}) {
    const std::vector<float> output = run({.scale = 3, .rescale = share});
    for (size_t image = 0; image < 2; ++image) {
      const double before = deviation(plain, image), classed = deviation(kClassed, image);
      EXPECT_NEAR(deviation(output, image), share * classed + (1 - share) * before, 1e-5);
      // All values of an image are multiplied by the same.
      for (size_t i = 4 * image; i < 4 * image + 4; ++i)
        EXPECT_NEAR(output[i] * before, plain[i] * deviation(output, image), 1e-4);
    }
  }
}

TEST(Guidance, AFlatImageCannotBeRescaled) {
  const Denoiser both = [](const Tensor& x, const Tensor&) {
    return Tensor::full(x.shape(), 0.5f);
  };
  const Denoiser denoiser = guided(both, {.scale = 3, .rescale = 1});
  EXPECT_EQ(denoiser(Tensor::zeros({1, 1, 1, 2}), Tensor::zeros({1})).values(),
            (std::vector<float>{0.5f, 0.5f}));
}

TEST(Guidance, AVarianceStaysThatOfTheClass) {
  const Denoiser both = [](const Tensor&, const Tensor&) {
    return Tensor::of({2, 1, 1, 4}, {1, 2, 0.5f, -1, 0, 4, 1, 0});
  };
  const Denoiser denoiser = guided(both, {.scale = 3});
  EXPECT_EQ(denoiser(Tensor::zeros({1, 1, 1, 2}), Tensor::zeros({1})).values(),
            (std::vector<float>{3, -2, 0.5f, -1}));
}

TEST(Guidance, BothHalvesGetTheSameEstimate) {
  const Denoiser both = [](const Tensor& x, const Tensor&, const Tensor& estimate) {
    EXPECT_EQ(estimate.values(), (std::vector<float>{5, 6, 5, 6}));
    return x;
  };
  const Denoiser denoiser = guided(both, {.scale = 3});
  EXPECT_TRUE(denoiser.takes_estimate());
  denoiser(Tensor::zeros({2, 1, 1, 1}), Tensor::zeros({2}), Tensor::of({2, 1, 1, 1}, {5, 6}));
}

TEST(Guidance, ANetworkThatReturnsTooFewIsAnError) {
  const Denoiser both = [](const Tensor& x, const Tensor&) { return x.rows(0, 1); };
  EXPECT_THROW(guided(both, {.scale = 3})(Tensor::zeros({1, 1, 1, 2}), Tensor::zeros({1})), Error);
}

TEST(Guidance, OnlyBetweenAndBeyondTheEndsAreBothNeeded) {
  EXPECT_FALSE(Guidance{.scale = 0}.needs_both());
  EXPECT_FALSE(Guidance{.scale = 1}.needs_both());
  EXPECT_TRUE(Guidance{.scale = 0.5}.needs_both());
  EXPECT_TRUE(Guidance{.scale = 2}.needs_both());
}

}  // namespace
}  // namespace ddpm
