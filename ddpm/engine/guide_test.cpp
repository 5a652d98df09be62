// Guidance by another model, and guidance in an interval of noise, on networks that are formulas.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <functional>
#include <memory>

#include "ddpm/base/error.h"
#include "ddpm/diffusion/initial_noise.h"
#include "ddpm/diffusion/sampler.h"
#include "ddpm/diffusion/schedule.h"
#include "ddpm/engine/generator.h"
#include "ddpm/engine/memory_check.h"
#include "ddpm/engine/model.h"
#include "ddpm/engine/model_test_support.h"
#include "ddpm/nn/lucidrains/options.h"
#include "ddpm/nn/network.h"
#include "tests/support/errors.h"

namespace ddpm {
namespace {

using test::message_of;
using ::testing::HasSubstr;

constexpr int64_t kTimesteps = 100;

// The exact network for pictures whose pixels are independent and normal with this deviation: it
// returns the mean of v = alpha noise - sigma image, given x.
float mean_of_v(double x, double t, double deviation) {
  static const Schedule schedule("cosine", kTimesteps);
  const NoiseLevel level = schedule.level(std::lround(t));
  const double variance = level.alpha_squared * deviation * deviation + level.sigma_squared;
  return static_cast<float>(level.alpha() * level.sigma() * (1 - deviation * deviation) * x /
                            variance);
}

// A network that is a function of a pixel, t and the class. Counts the images that passed it.
class Formula : public Network {
 public:
  using Pixel = std::function<float(double x, double t, double label)>;
  explicit Formula(Pixel pixel, bool classes = false)
      : Network(Device::kCpu), pixel_(std::move(pixel)), classes_(classes) {}

  Variable operator()(const NetworkInput& input) const override {
    const Tensor& x = input.x.value();
    EXPECT_EQ(input.labels.defined(), classes_);
    Tensor output(x.shape());
    const int64_t size = x.elements() / x.size(0);
    for (int64_t i = 0; i < x.elements(); ++i) {
      const double label = classes_ ? double{input.labels.f32()[i / size]} : -1;
      output.f32()[i] = pixel_(x.f32()[i], input.t.f32()[i / size], label);
    }
    passed_ += x.size(0);
    return Variable(output);
  }
  OptionalInputs takes() const override { return {.labels = classes_}; }
  int64_t passed() const { return passed_; }

 private:
  Pixel pixel_;
  bool classes_;
  mutable std::atomic<int64_t> passed_ = 0;
};

ModelConfig config_of_v() {
  ModelConfig config = test::small_config(kTimesteps);
  config.process.objective = "v";
  return config;
}

Model model_of(double deviation) {
  return {.config = config_of_v(),
          .network = std::make_shared<Formula>(
              [=](double x, double t, double) { return mean_of_v(x, t, deviation); })};
}

Tensor draw(const Model& model, GenerateOptions options) {
  options.seed = 3;
  if (options.sampling.steps == 0) options.sampling.steps = 20;
  options.sampling.sampler = "ddim";
  return generate(*model.network, model.config, options);
}

double deviation_of(const Tensor& images) {
  double squares = 0;
  for (const float value : images.values()) squares += double{value} * value;
  return std::sqrt(squares / static_cast<double>(images.elements()));
}

// Two Gaussians of which the guide is too broad, as a worse network's would be.
class Autoguidance : public ::testing::Test {
 protected:
  const Model model_ = model_of(0.3), guide_ = model_of(0.45);
};

TEST_F(Autoguidance, IsTheFormula) {
  constexpr double kScale = 1.5;
  const Denoiser formula = [](const Tensor& x, const Tensor& t) {
    Tensor output(x.shape());
    for (int64_t i = 0; i < x.elements(); ++i) {
      const double model = mean_of_v(x.f32()[i], t.f32()[0], 0.3);
      const double guide = mean_of_v(x.f32()[i], t.f32()[0], 0.45);
      output.f32()[i] = static_cast<float>(guide + kScale * (model - guide));
    }
    return output;
  };
  const std::vector<float> wanted = sample(Process(model_.config.process), formula,
                                           {.sampling = {.sampler = "ddim", .steps = 20},
                                            .image = {6, 4, 1},
                                            .image_seeds = image_seeds(3, 0, 4)})
                                        .values();
  const std::vector<float> drawn =
      draw(model_, {.count = 4, .guidance = kScale, .guide = &guide_}).values();
  ASSERT_EQ(drawn.size(), wanted.size());
  for (size_t i = 0; i < drawn.size(); ++i) EXPECT_NEAR(drawn[i], wanted[i], 2e-6);
}

TEST_F(Autoguidance, MovesAwayFromWhatTheGuideDoesWorse) {
  GenerateOptions options{.count = 64, .batch = 64, .sampling = {.steps = kTimesteps}};
  const double plain = deviation_of(draw(model_, options));
  options.guidance = 1.5;
  options.guide = &guide_;
  const double guided = deviation_of(draw(model_, options));
  EXPECT_NEAR(plain, 0.3, 0.02);
  // Broader than the model is wrong, so narrower than the model is further away from it.
  EXPECT_LT(guided, plain - 0.02);
}

TEST_F(Autoguidance, OfAScaleOf1IsNoneAndOf0IsTheGuideAlone) {
  const Tensor plain = draw(model_, {.count = 2}), guide = draw(guide_, {.count = 2});
  EXPECT_EQ(draw(model_, {.count = 2, .guidance = 1, .guide = &guide_}).values(), plain.values());
  EXPECT_EQ(draw(model_, {.count = 2, .guidance = 0, .guide = &guide_}).values(), guide.values());
}

TEST_F(Autoguidance, DoesNotDependOnTheBatch) {
  const GenerateOptions options{
      .count = 5, .guidance = 2, .guidance_rescale = 0.5, .guide = &guide_, .batch = 5};
  const std::vector<float> all = draw(model_, options).values();
  for (const int64_t batch : {1, 2, 3}) {
    GenerateOptions other = options;
    other.batch = batch;
    EXPECT_EQ(draw(model_, other).values(), all) << batch;
  }
}

// The networks of two families, with and without classes and a learned variance.
TEST(AutoguidanceOfNetworks, GuideMayBeOfAnotherFamilyAndKnowNoClasses) {
  const auto made = [](const NetworkConfig& network, int64_t classes, uint64_t seed) {
    Model model{.config = config_of_v()};
    model.config.network = network;
    model.config.network.channels() = 1;
    model.config.network.classes() = classes;
    model.network = make_network(model.config.network);
    model.network->initialize(seed);
    return model;
  };
  const NetworkConfig tutorial = test::small_config(kTimesteps).network;
  const NetworkConfig other = lucidrains::UnetConfig{.dim = 8, .dim_mults = {1, 2}};
  const Model model = made(tutorial, 2, 1), plain = made(tutorial, 0, 2),
              foreign = made(other, 2, 3);
  const GenerateOptions options{
      .count = 2, .labels = {1}, .guidance = 1.5, .sampling = {.steps = 3}};
  const std::vector<float> unguided =
      draw(model, {.count = 2, .labels = {1}, .sampling = {.steps = 3}}).values();
  for (const Model* guide : {&plain, &foreign}) {
    GenerateOptions guided = options;
    guided.guide = guide;
    const std::vector<float> drawn = draw(model, guided).values();
    EXPECT_NE(drawn, unguided);
    guided.batch = 1;
    EXPECT_EQ(draw(model, guided).values(), drawn);
  }
}

TEST_F(Autoguidance, BothGetTheClass) {
  const auto classed = [](double factor) {
    Model model{.config = config_of_v()};
    model.config.network.classes() = 3;
    model.network = std::make_shared<Formula>(
        [=](double, double, double label) { return static_cast<float>(factor * label); }, true);
    return model;
  };
  const Model model = classed(0.1), guide = classed(-0.1), wanted = classed(0.3);
  // -0.1 label + 2 (0.1 label + 0.1 label) = 0.3 label
  EXPECT_THAT(draw(model, {.count = 2, .labels = {2, 0}, .guidance = 2, .guide = &guide}).values(),
              ::testing::Pointwise(::testing::FloatNear(1e-5f),
                                   draw(wanted, {.count = 2, .labels = {2, 0}}).values()));
}

TEST_F(Autoguidance, AGuideThatDoesNotFitIsRefused) {
  const auto refused = [&](const std::function<void(Model&)>& change) {
    Model guide = guide_;
    guide.path = "g.safetensors";
    change(guide);
    const GenerateOptions options{.count = 1, .guidance = 1.5, .guide = &guide};
    EXPECT_THROW(options.check_for(model_.config), UsageError);
    return message_of([&] { options.check_for(model_.config); });
  };
  EXPECT_THAT(refused([](Model& g) { g.config.network.channels() = 3; }),
              HasSubstr("the guide g.safetensors has channels: 3, but the model 1; a snapshot"));
  EXPECT_THAT(refused([](Model& g) { g.config.process.objective = "eps"; }),
              HasSubstr("has the objective eps, but the model v"));
  EXPECT_THAT(refused([](Model& g) { g.config.process.schedule = "linear"; }),
              HasSubstr("has the schedule linear, but the model cosine"));
  EXPECT_THAT(refused([](Model& g) { g.config.process.timesteps = 99; }),
              HasSubstr("has timesteps 99, but the model 100"));
  EXPECT_THAT(refused([](Model& g) { g.config.process.offset_noise = 0.1; }),
              HasSubstr("has offset-noise 0.1, but the model 0"));
  EXPECT_THAT(refused([](Model& g) { g.config.network.classes() = 4; }),
              HasSubstr("has classes: 4, but the model 0"));
  EXPECT_THAT(refused([](Model& g) {
                g.config.condition = "grey";
                g.config.network.condition_channels() = 1;
              }),
              HasSubstr("has the condition grey, but the model none"));
  EXPECT_THAT(refused([](Model& g) {
                g.config.network = tutorial::UnetConfig{.dim_mults = {1, 2, 4}, .channels = 1};
              }),
              HasSubstr("cannot draw 6x4"));
  EXPECT_THAT(refused([](Model& g) { g.network = nullptr; }), HasSubstr("no network"));
}

TEST(AutoguidanceOfClasses, TheirNamesMustAgree) {
  Model guide{.config = config_of_v(),
              .network = std::make_shared<Formula>([](double, double, double) { return 0.0f; })};
  guide.config.network.classes() = 2;
  guide.config.class_names = {"cat", "dog"};
  ModelConfig config = guide.config;
  const GenerateOptions options{.count = 1, .guidance = 1.5, .guide = &guide};
  EXPECT_NO_THROW(options.check_for(config));
  config.class_names = {"cat", "cow"};
  EXPECT_THAT(message_of([&] { options.check_for(config); }),
              HasSubstr("calls class #1 'dog', but the model 'cow'"));
}

TEST(AutoguidanceMemory, CountsTheGuide) {
  ModelConfig config = test::small_config(kTimesteps);
  config.height = config.width = 64;
  ModelConfig large = config;
  large.network.get<tutorial::UnetConfig>()->dim = 64;
  const auto fits = [&](const ModelConfig* guide, int64_t bytes, bool prepare) {
    const std::string refusal = message_of([&] {
      require_memory_for_sampling(
          config, {.count = 1, .batch = 1, .prepare_weights = prepare, .guide = guide},
          {.bytes = bytes, .limit = "the test"});
    });
    return refusal.empty();
  };
  for (const bool prepare : {true, false}) {
    int64_t enough = 1 << 20;
    while (!fits(nullptr, enough, prepare)) enough += enough / 10;
    EXPECT_FALSE(fits(&large, enough, prepare));
    EXPECT_TRUE(fits(&large, 100 * enough, prepare));
  }
}

// A network with classes that counts, and draws of it with guidance in an interval.
class GuidanceInterval : public ::testing::Test {
 protected:
  GuidanceInterval() {
    model_.config.network.classes() = 2;
    network_ = std::make_shared<Formula>(
        [](double x, double t, double label) { return mean_of_v(x, t, 0.3 + 0.1 * label); }, true);
    model_.network = network_;
  }
  std::vector<float> draw_in(const std::string& interval, double guidance = 2) {
    passed_before_ = network_->passed();
    return draw(model_, {.count = 3,
                         .labels = {1},
                         .guidance = guidance,
                         .guidance_interval = interval,
                         .sampling = {.steps = kTimesteps}})
        .values();
  }
  int64_t passed() const { return network_->passed() - passed_before_; }

  Model model_{.config = config_of_v()};
  std::shared_ptr<Formula> network_;
  int64_t passed_before_ = 0;
};

TEST_F(GuidanceInterval, SavesTheSecondPassOutside) {
  draw_in("");
  EXPECT_EQ(passed(), 2 * 3 * kTimesteps);
  int64_t inside = 0;
  const Process process(model_.config.process);
  for (const NoiseLevel& level :
       sampling_levels({.sampler = "ddim", .steps = kTimesteps}, process)) {
    if (level.ratio() >= 0.2 && level.ratio() <= 3) ++inside;
  }
  ASSERT_GT(inside, kTimesteps / 4);
  ASSERT_LT(inside, kTimesteps);
  draw_in("0.2,3");
  EXPECT_EQ(passed(), 3 * (kTimesteps + inside));
  draw_in("0.2,3", 0);
  EXPECT_EQ(passed(), 3 * kTimesteps);
}

TEST_F(GuidanceInterval, UsesTheClassAloneOutsideAndGuidesInside) {
  const std::vector<float> everywhere = draw_in(""), nowhere = draw_in("", 1);
  EXPECT_EQ(draw_in("0,inf"), everywhere);
  EXPECT_EQ(draw_in("1000,2000"), nowhere);
  EXPECT_EQ(draw_in("1000,2000", 0), nowhere);
  EXPECT_EQ(draw_in("0.2,3", 1), nowhere);
  const std::vector<float> some = draw_in("0.2,3");
  EXPECT_NE(some, everywhere);
  EXPECT_NE(some, nowhere);
}

TEST_F(GuidanceInterval, KnowsTheLevelsOfEveryProcess) {
  for (const char* objective : {"eps", "edm", "flow"}) {
    model_.config.process.objective = objective;
    model_.network = std::make_shared<Formula>(
        [](double, double, double label) { return static_cast<float>(0.1 * label); }, true);
    EXPECT_EQ(draw_in("0.0001,inf"), draw_in("")) << objective;
    EXPECT_EQ(draw_in("0,0.00001"), draw_in("", 1)) << objective;
    EXPECT_NE(draw_in("1,inf"), draw_in("0,1")) << objective;
  }
}

TEST_F(GuidanceInterval, ThatCannotBeIsRefused) {
  EXPECT_THROW(draw_in("3,1"), UsageError);
  EXPECT_THROW(GenerateOptions{.guidance_interval = "x"}.check(), UsageError);
  model_.config.network.classes() = 0;
  EXPECT_THROW(draw_in("1,3", 1), UsageError);
}

}  // namespace
}  // namespace ddpm
