// The exact denoiser of a mixture of Gaussians: against independent formulas, at extreme levels,
// and as a model file.
#include "ddpm/engine/mixture_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/diffusion/objective.h"
#include "ddpm/diffusion/process.h"
#include "ddpm/diffusion/sampler.h"
#include "ddpm/engine/cost.h"
#include "ddpm/engine/generator.h"
#include "ddpm/engine/mixture_model_test_support.h"
#include "ddpm/engine/model.h"
#include "ddpm/engine/model_test_support.h"
#include "ddpm/engine/weights.h"
#include "ddpm/nn/network.h"
#include "tests/support/errors.h"
#include "tests/support/folder.h"

namespace ddpm {
namespace {

using test::MixtureFile;
using test::TemporaryFolder;
using ::testing::HasSubstr;

// Two Gaussians over one number.
const GaussianMixture kLine{
    .size = 1, .weights = {0.3, 0.7}, .means = {-0.5, 0.8}, .stds = {0.2, 0.05}};

NoiseLevel level_of(double alpha, double sigma) {
  return {.alpha_squared = alpha * alpha, .sigma_squared = sigma * sigma};
}

// E[x0 | x] by summing over a fine grid of x0.
double integrated(const GaussianMixture& mixture, const NoiseLevel& level, double x) {
  double sum = 0, weighted = 0;
  constexpr double kStep = 1e-4;
  for (double x0 = -3; x0 <= 3; x0 += kStep) {
    double density = 0;
    for (size_t k = 0; k < mixture.weights.size(); ++k) {
      const double z = (x0 - mixture.means[k]) / mixture.stds[k];
      density += mixture.weights[k] / mixture.stds[k] * std::exp(-z * z / 2);
    }
    const double z = (x - level.alpha() * x0) / level.sigma();
    density *= std::exp(-z * z / 2);
    sum += density;
    weighted += density * x0;
  }
  return weighted / sum;
}

TEST(GaussianMixture, MeansAreThoseOfTheIntegral) {
  for (const double alpha : {0.95, 0.6, 0.1}) {
    const NoiseLevel level = level_of(alpha, std::sqrt(1 - alpha * alpha));
    for (const double x : {-1.2, -0.1, 0.4, 0.9}) {
      double image = 0, noise = 0;
      kLine.denoise(level, &x, &image, &noise);
      EXPECT_NEAR(image, integrated(kLine, level, x), 1e-9) << alpha << " " << x;
      // x = alpha image + sigma noise holds for the means.
      EXPECT_NEAR(level.alpha() * image + level.sigma() * noise, x, 1e-14);
    }
  }
}

TEST(GaussianMixture, OneGaussianIsLinear) {
  const GaussianMixture one{.size = 2, .weights = {1}, .means = {0.25, -0.75}, .stds = {0.5}};
  const NoiseLevel level = level_of(0.8, 0.6);
  const double x[] = {0.3, 1.1};
  double image[2], noise[2];
  one.denoise(level, x, image, noise);
  for (int i = 0; i < 2; ++i) {
    const double gain = 0.8 * 0.25 / (0.64 * 0.25 + 0.36);
    EXPECT_DOUBLE_EQ(image[i], one.means[i] + gain * (x[i] - 0.8 * one.means[i]));
  }
}

TEST(GaussianMixture, IsExactAtTheEnds) {
  double image = 0, noise = 0;
  // Noise alone tells nothing of the image.
  const double x = 1.5;
  kLine.denoise(level_of(0, 1), &x, &image, &noise);
  EXPECT_DOUBLE_EQ(image, 0.3 * -0.5 + 0.7 * 0.8);
  EXPECT_DOUBLE_EQ(noise, 1.5);
  // With hardly any noise, x is the image, and the noise follows from the slope of the density.
  const GaussianMixture one{.size = 1, .weights = {1}, .means = {0.8}, .stds = {0.05}};
  const double near = 0.81;
  one.denoise(level_of(1, 1e-9), &near, &image, &noise);
  EXPECT_DOUBLE_EQ(image, near);
  EXPECT_NEAR(noise / 1e-9, (near - 0.8) / (0.05 * 0.05), 1e-9);
  // Far from every mean, where all densities are 0 in double.
  const double far = 1e4;
  kLine.denoise(level_of(1, 0.01), &far, &image, &noise);
  EXPECT_NEAR(image, far, 30);
  EXPECT_TRUE(std::isfinite(noise));
}

class MixtureModel : public ::testing::Test {
 protected:
  std::string write(const MixtureFile& mixture) {
    write_file_atomic(path_, mixture.bytes());
    return path_;
  }
  std::string refusal(const MixtureFile& mixture) {
    try {
      load_model(write(mixture));
    } catch (const Error& error) {
      return error.what();
    }
    return "it was loaded";
  }

  TemporaryFolder folder_;
  const std::string path_ = folder_ / "mixture.safetensors";
};

TEST_F(MixtureModel, ReturnsTheTargetOfEveryObjective) {
  for (const std::string& objective : objective_names()) {
    MixtureFile mixture;
    mixture.objective = objective;
    const Model model = load_model(write(mixture));
    const Process process(model.config.process);
    EXPECT_EQ(model.config.process.objective, objective);
    const NoiseLevel level = sampling_levels({.sampler = "ddim", .steps = 50}, process)[25];
    const Preconditioning use = process.preconditioning(level);
    Tensor x({2, 1, 2, 3});  // [N, H, W, C]
    for (int64_t i = 0; i < x.elements(); ++i) x.f32()[i] = 0.1f * static_cast<float>(i % 7) - 0.3f;
    const Tensor t = Tensor::full({2}, static_cast<float>(level.t));
    Tensor scaled = x.clone();
    for (int64_t i = 0; i < x.elements(); ++i)
      scaled.f32()[i] = static_cast<float>(use.c_in * double{x.f32()[i]});
    const Tensor output = (*model.network)({.x = Variable(scaled), .t = t}).value();
    const auto* held = model.config.network.get<MixtureConfig>();
    for (int64_t n = 0; n < 2; ++n) {
      double noisy[6], image[6], noise[6];
      for (int i = 0; i < 6; ++i) noisy[i] = x.f32()[n * 6 + i];
      held->mixture->denoise(level, noisy, image, noise);
      for (int i = 0; i < 6; ++i) {
        const double x0 = use.c_skip * noisy[i] + use.c_out * output.f32()[n * 6 + i];
        // The output is rounded to float, and then multiplied by c_out.
        EXPECT_NEAR(x0, image[i], 1e-6 * (1 + std::abs(use.c_out))) << objective;
      }
    }
  }
}

// The file has [C, H, W], memory [H, W, C].
TEST_F(MixtureModel, ReadsTheMeansChannelsFirst) {
  const Model model = load_model(write({}));
  const auto& means = model.config.network.get<MixtureConfig>()->mixture->means;
  const MixtureFile file;
  for (size_t c = 0; c < 3; ++c) {
    for (size_t pixel = 0; pixel < 2; ++pixel)
      EXPECT_EQ(means[6 + pixel * 3 + c], file.means[6 + c * 2 + pixel]);
  }
}

TEST_F(MixtureModel, DrawsPictures) {
  const Model model = load_model(write({}));
  const Tensor drawn =
      generate(*model.network, model.config, {.count = 200, .sampling = {.steps = 20}});
  ASSERT_EQ(drawn.shape(), (Shape{200, 1, 2, 3}));
  // The means of the first channel are 0.5 and -0.5 with weights 1/4 and 3/4.
  double above = 0;
  for (int64_t n = 0; n < 200; ++n) above += drawn.f32()[n * 6] > 0 ? 1 : 0;
  EXPECT_NEAR(above / 200, 0.25, 0.1);
  const Cost cost = estimate_cost(model.config, 4);
  EXPECT_EQ(cost.parameters, 0);
  EXPECT_EQ(cost.training_bytes, 0);
  EXPECT_THROW(generate(*model.network, model.config, {.height = 4, .width = 4}), UsageError);
}

TEST_F(MixtureModel, IsSavedWithAllItsDigits) {
  MixtureFile file;
  file.stds = {0.25, 0.5};  // exact in float32
  const Model model = load_model(write(file));
  const std::string copy = folder_ / "copy.safetensors";
  save_model(copy, model.config, *model.network, {}, -1);
  const Model again = load_model(copy);
  const auto& wanted = *model.config.network.get<MixtureConfig>()->mixture;
  const auto& got = *again.config.network.get<MixtureConfig>()->mixture;
  EXPECT_EQ(got.means, wanted.means);
  EXPECT_EQ(got.stds, wanted.stds);
  EXPECT_EQ(got.weights, wanted.weights);
  EXPECT_EQ(to_json(again.config), to_json(model.config));
  // Nothing takes more bytes than it needs.
  const SafetensorsFile saved = SafetensorsFile::open(copy);
  EXPECT_EQ(saved.entry("means").dtype, "F64");
  EXPECT_EQ(saved.entry("stds").dtype, "F32");
}

TEST_F(MixtureModel, RefusesFilesThatAreNoMixture) {
  const auto with = [](auto change) {
    MixtureFile mixture;
    change(mixture);
    return mixture;
  };
  EXPECT_THAT(refusal(with([](MixtureFile& m) {
                m.weights = {0.25, 0.7};
              })),
              HasSubstr("sum to 0.95"));
  EXPECT_THAT(refusal(with([](MixtureFile& m) {
                m.weights = {-0.25, 1.25};
              })),
              HasSubstr("weights[0] is -0.25; it must be above 0"));
  EXPECT_THAT(refusal(with([](MixtureFile& m) {
                m.stds = {0.1, 0};
              })),
              HasSubstr("stds[1] is 0; it must be above 0"));
  EXPECT_THAT(refusal(with([](MixtureFile& m) { m.stds = {0.1}; })), HasSubstr("needs [2]"));
  EXPECT_THAT(refusal(with([](MixtureFile& m) {
                m.stds = {0.1, 1e200};
              })),
              HasSubstr("stds[1] is 1e+200; numbers of a mixture must be finite and not above"));
  EXPECT_THAT(refusal(with([](MixtureFile& m) { m.means[4] = -1e30; })),
              HasSubstr("means[4] is -1e+30"));
  EXPECT_THAT(refusal(with([](MixtureFile& m) { m.means.resize(6); })), HasSubstr("needs [2, 6]"));
  EXPECT_THAT(refusal(with([](MixtureFile& m) { m.means[3] = NAN; })), HasSubstr("finite"));
  EXPECT_THAT(refusal(with([](MixtureFile& m) { m.objective = "w"; })), HasSubstr("choose eps"));
  EXPECT_THAT(refusal(with([](MixtureFile& m) { m.more = R"(,"offset_noise":0.1)"; })),
              HasSubstr("offset noise"));
  EXPECT_THAT(refusal(with([](MixtureFile& m) { m.more = R"(,"time_steps":10)"; })),
              HasSubstr("no member time_steps"));
  EXPECT_THAT(refusal(with([](MixtureFile& m) { m.more = R"(,"network":"tutorial")"; })),
              HasSubstr("network in ddpm.config must be"));
  EXPECT_THROW(load_model(write({}), Device::kCpu, {{"heads", "2"}}), UsageError);
}

TEST_F(MixtureModel, HasNoRawWeights) {
  EXPECT_THAT(test::refusal([&] { load_model(write({}), Device::kCpu, {}, WeightKind::kRaw); }),
              HasSubstr("leave out --weights raw"));
}

// A file that says that it is something else is not taken for the network that it looks like.
TEST_F(MixtureModel, OtherFamiliesAreRefused) {
  const ModelConfig config = test::small_config(20);
  const auto network = make_network(config.network);
  network->initialize(1);
  const auto load = [&](const char* family) {
    SafetensorsWriter writer;
    writer.set_metadata(kFamilyKey, family);
    writer.set_metadata(kConfigKey, to_json(config));
    add_weights(writer, "", *network, parameter_tensors(*network));
    const std::string path = folder_ / "other.safetensors";
    writer.write(path);
    return test::message_of([&] { load_model(path); });
  };
  for (const char* family : {"mixtures", "", "gan"}) {
    EXPECT_THAT(load(family), HasSubstr(fmt::format("ddpm.family is '{}'", family)));
    EXPECT_THAT(load(family), HasSubstr("it knows tutorial, lucidrains or mixture"));
  }
  EXPECT_THAT(load("lucidrains"), HasSubstr("holds a network of the family tutorial"));
  EXPECT_EQ(load("tutorial"), "");
}

}  // namespace
}  // namespace ddpm
