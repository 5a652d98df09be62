#include "ddpm/diffusion/guidance.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
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

// A denoiser that returns the same for every input.
Denoiser constant(const Shape& shape, const std::vector<float>& values) {
  return [=](const Tensor&, const Tensor&) { return Tensor::of(shape, values); };
}

TEST(Guidance, OfTwoDenoisersIsThatOfBothInOne) {
  const Tensor x = Tensor::zeros({2, 2, 2, 1}), t = Tensor::of({2}, {8, 9});
  for (const Guidance guidance :
       {Guidance{.scale = 1.5}, Guidance{.scale = 3, .rescale = 0.7}, Guidance{.scale = 0}}) {
    const Denoiser denoiser =
        guided(constant(x.shape(), kClassed), constant(x.shape(), kNone), guidance);
    EXPECT_EQ(denoiser(x, t).values(), run(guidance)) << guidance.scale;
  }
}

TEST(Guidance, OfTwoDenoisersHasTheVarianceOfTheBetter) {
  const Tensor x = Tensor::zeros({1, 1, 1, 2}), t = Tensor::zeros({1});
  const Denoiser with = constant({1, 1, 1, 4}, {1, 2, 0.5f, -1}),
                 without = constant({1, 1, 1, 2}, {0, 4});
  EXPECT_EQ(guided(with, without, {.scale = 3})(x, t).values(),
            (std::vector<float>{3, -2, 0.5f, -1}));
  EXPECT_EQ(guided(without, with, {.scale = 3})(x, t).values(), (std::vector<float>{-2, 8}));
  EXPECT_THROW(guided(with, constant({1, 1, 1, 3}, {0, 0, 0}), {.scale = 3})(x, t), Error);
  EXPECT_THROW(guided(constant({1, 1, 2, 2}, {0, 0, 0, 0}), with, {.scale = 3})(x, t), Error);
}

TEST(Guidance, OnlyADenoiserThatTakesAnEstimateGetsIt) {
  const Denoiser taking = [](const Tensor& x, const Tensor&, const Tensor& estimate) {
    EXPECT_EQ(estimate.values(), std::vector<float>{5});
    return x;
  };
  const Denoiser plain = [](const Tensor& x, const Tensor&) { return x; };
  const Tensor x = Tensor::zeros({1, 1, 1, 1}), t = Tensor::zeros({1});
  for (const Denoiser& denoiser :
       {guided(taking, plain, {.scale = 2}), guided(plain, taking, {.scale = 2}),
        guided_where([](double) { return true; }, taking, plain)}) {
    EXPECT_TRUE(denoiser.takes_estimate());
    denoiser(x, t, Tensor::of({1, 1, 1, 1}, {5}));
  }
  EXPECT_FALSE(guided(plain, plain, {.scale = 2}).takes_estimate());
}

TEST(GuidanceInterval, ChoosesByTheLevel) {
  const Tensor x = Tensor::zeros({1, 1, 1, 1});
  const Denoiser denoiser = guided_where([](double t) { return t < 10; }, constant(x.shape(), {1}),
                                         constant(x.shape(), {2}));
  EXPECT_EQ(denoiser(x, Tensor::of({1}, {9})).values(), std::vector<float>{1});
  EXPECT_EQ(denoiser(x, Tensor::of({1}, {10})).values(), std::vector<float>{2});
}

TEST(GuidanceInterval, HoldsItsBounds) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  Guidance guidance;
  EXPECT_TRUE(guidance.everywhere());
  EXPECT_TRUE(guidance.guides_at(0));
  EXPECT_TRUE(guidance.guides_at(kInfinity));
  read_guidance_interval("", guidance);
  EXPECT_TRUE(guidance.everywhere());
  read_guidance_interval("0.5,80", guidance);
  EXPECT_FALSE(guidance.everywhere());
  // As the networks of edm and flow are told the levels.
  for (const double ratio : {0.5, 80.0}) {
    const double t = static_cast<float>(std::log(ratio) / 4);
    EXPECT_TRUE(guidance.guides_at(std::exp(4 * t))) << ratio;
    const double line = static_cast<float>(ratio / (1 + ratio));
    EXPECT_TRUE(guidance.guides_at(line / (1 - line))) << ratio;
  }
  EXPECT_FALSE(guidance.guides_at(0.499));
  EXPECT_FALSE(guidance.guides_at(80.1));
  EXPECT_FALSE(guidance.guides_at(kInfinity));
  read_guidance_interval("0.5,inf", guidance);
  EXPECT_TRUE(guidance.guides_at(kInfinity));
}

TEST(GuidanceInterval, ThatCannotBeIsRefused) {
  Guidance guidance;
  for (const char* text : {"1", "1,", ",1", "2,1", "1,1", "-1,2", "a,b", "1,2,3", "1;2", "0x1,2",
                           "nan,2", "1,nan", "inf,inf", "1 ,2", "1,1e999", " "})
    EXPECT_THROW(read_guidance_interval(text, guidance), UsageError) << text;
  EXPECT_TRUE(guidance.everywhere());
}

}  // namespace
}  // namespace ddpm
