// The averages of a training.
#include "ddpm/optim/averages.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "ddpm/engine/checkpoint.h"
#include "ddpm/engine/cost.h"
#include "ddpm/engine/model.h"
#include "ddpm/engine/trainer.h"
#include "ddpm/engine/weights.h"
#include "ddpm/nn/tutorial/unet.h"
#include "ddpm/optim/post_hoc.h"
#include "tests/support/compare.h"
#include "tests/support/errors.h"
#include "tests/support/folder.h"

namespace ddpm {
namespace {

constexpr int64_t kBatch = 4, kSteps = 12;

TrainOptions options_of(bool averages) {
  TrainOptions options;
  options.network = tutorial::UnetConfig{.dim = 8, .dim_mults = {1, 2}, .heads = 1, .dim_head = 8};
  options.optimizer.batch = kBatch;
  options.optimizer.lr = 1e-2;
  options.optimizer.lr_warmup = 0;
  if (averages) {
    options.optimizer.average_halflife = {40, 1};
    options.optimizer.power_average = "auto";
  }
  return options;
}

Tensor pictures(int64_t step) {
  Tensor images({kBatch, 4, 6, 1});
  for (int64_t i = 0; i < images.elements(); ++i)
    images.f32()[i] = std::sin(static_cast<float>(i + 7 * step));
  return images;
}

// The pictures of step 3 contain NaN.
Tensor faulty_pictures(int64_t step) {
  Tensor images = pictures(step);
  if (step == 3) images.f32()[1] = std::numeric_limits<float>::quiet_NaN();
  return images;
}

Trainer trainer_of(const TrainOptions& options, const BatchSource& source = pictures) {
  return Trainer(options.optimizer, options.model_config(4, 6, 1), source);
}

using Values = std::vector<std::vector<double>>;

// Averages that are computed in double, directly from the weights after each step.
class Direct {
 public:
  // A half-life in pictures, or 0 and an exponent.
  Direct(double halflife, double gamma) : halflife_(halflife), gamma_(gamma) {}
  void start_from(Trainer& trainer) { values_ = weights_of(trainer); }
  void add(Trainer& trainer, int64_t updates) {
    const auto seen = static_cast<double>(updates * kBatch);
    const double keep = halflife_ > 0 ? std::pow(0.5, kBatch / std::min(halflife_, 0.05 * seen))
                                      : std::pow(1 - kBatch / seen, gamma_ + 1);
    const Values weights = weights_of(trainer);
    for (size_t i = 0; i < weights.size(); ++i) {
      for (size_t j = 0; j < weights[i].size(); ++j)
        values_[i][j] = keep * values_[i][j] + (1 - keep) * weights[i][j];
    }
  }
  void expect_near(const NamedAverage& average) const {
    for (size_t i = 0; i < values_.size(); ++i) {
      const Tensor want =
          Tensor::of(average.values[i].shape(), {values_[i].begin(), values_[i].end()});
      EXPECT_LT(test::relative_l2(average.values[i], want), test::Tolerance::kOptimizer)
          << average.name << " " << i;
    }
  }

 private:
  static Values weights_of(Trainer& trainer) {
    Values all;
    for (const Tensor& tensor : parameter_tensors(trainer.network())) {
      const std::vector<float> values = tensor.values();
      all.emplace_back(values.begin(), values.end());
    }
    return all;
  }

  double halflife_, gamma_;
  Values values_;
};

std::vector<std::vector<float>> bits_of(Trainer& trainer) {
  std::vector<std::vector<float>> all;
  for (const Tensor& tensor : parameter_tensors(trainer.network())) all.push_back(tensor.values());
  for (const NamedAverage& average : trainer.averages())
    for (const Tensor& tensor : average.values) all.push_back(tensor.values());
  return all;
}

std::vector<std::string> names_of(const Trainer& trainer) {
  std::vector<std::string> names;
  for (const NamedAverage& average : trainer.averages()) names.push_back(average.name);
  return names;
}

TEST(TrainingAverages, AreThoseOfADirectComputation) {
  for (const bool faulty : {false, true}) {
    Trainer trainer = trainer_of(options_of(true), faulty ? faulty_pictures : pictures);
    Direct long_life(40, 0), short_life(1, 0), narrow(0, power_gamma(0.05)),
        wide(0, power_gamma(0.1));
    Direct* all[] = {&long_life, &short_life, &narrow, &wide};
    for (Direct* each : all) each->start_from(trainer);
    int64_t updates = 0;
    for (int64_t step = 0; step < kSteps; ++step) {
      // A step that was skipped does not count.
      if (!trainer.step().skipped.empty()) continue;
      ++updates;
      for (Direct* each : all) each->add(trainer, updates);
    }
    EXPECT_EQ(updates, faulty ? kSteps - 1 : kSteps);
    const std::vector<NamedAverage> averages = trainer.averages();
    ASSERT_EQ(names_of(trainer), (std::vector<std::string>{"halflife_40", "ema_decay", "halflife_1",
                                                           "width_0.05", "width_0.1"}));
    long_life.expect_near(averages[0]);
    short_life.expect_near(averages[2]);
    narrow.expect_near(averages[3]);
    wide.expect_near(averages[4]);
  }
}

TEST(TrainingAverages, LeaveTheWeightsAndTheUsualAverageAsTheyAre) {
  Trainer plain = trainer_of(options_of(false)), with = trainer_of(options_of(true));
  for (int64_t step = 0; step < kSteps; ++step) {
    plain.step();
    with.step();
  }
  EXPECT_EQ(names_of(plain), std::vector<std::string>{"ema_decay"});
  const std::vector<NamedAverage> averages = with.averages();
  for (size_t i = 0; i < averages[1].values.size(); ++i) {
    EXPECT_EQ(averages[1].values[i].values(), plain.averages()[0].values[i].values());
    EXPECT_EQ(parameter_tensors(with.network())[i].values(),
              parameter_tensors(plain.network())[i].values());
  }
  // Samples are drawn with the first half-life.
  const std::unique_ptr<Network> drawn = with.averaged_network();
  EXPECT_EQ(parameter_tensors(*drawn)[0].values(), averages[0].values[0].values());
  EXPECT_NE(parameter_tensors(*drawn)[0].values(), averages[1].values[0].values());
}

TEST(TrainingAverages, GoOnFromACheckpointToTheSameBits) {
  const test::TemporaryFolder folder;
  const std::string path = folder / "x.safetensors";
  Trainer whole = trainer_of(options_of(true), faulty_pictures);
  Trainer resumed = trainer_of(options_of(true), faulty_pictures);
  for (int64_t step = 0; step < kSteps; ++step) {
    if (step == 5) {
      save_checkpoint(path, whole.config(), whole.network(), whole.optimizer(), {}, 1,
                      whole.averages());
      Checkpoint::open(path).load(resumed.network(), resumed.optimizer(), resumed.averages());
      resumed.set_steps(5);
    }
    whole.step();
    if (step >= 5) resumed.step();
  }
  EXPECT_EQ(bits_of(resumed), bits_of(whole));
  // A checkpoint gives the weights that samples are drawn with.
  save_checkpoint(path, whole.config(), whole.network(), whole.optimizer(), {}, 1,
                  whole.averages());
  const Model model = load_model(path);
  EXPECT_EQ(parameter_tensors(*model.network)[0].values(), whole.averages()[0].values[0].values());
  // One without these averages does not do.
  save_checkpoint(path, whole.config(), whole.network(), whole.optimizer());
  EXPECT_NE(test::message_of([&] {
              Checkpoint::open(path).load(resumed.network(), resumed.optimizer(),
                                          resumed.averages());
            }).find("lacks average."),
            std::string::npos);
}

TEST(TrainingAverages, BeginAgainWithARestart) {
  Trainer fresh = trainer_of(options_of(true)), again = trainer_of(options_of(true));
  for (int64_t step = 0; step < 5; ++step) again.step();
  again.restart();
  EXPECT_EQ(bits_of(again), bits_of(fresh));
  fresh.step();
  again.step();
  EXPECT_EQ(bits_of(again), bits_of(fresh));
}

TEST(TrainingAverages, CountInTheMemoryOfATraining) {
  const TrainOptions plain = options_of(false), with = options_of(true);
  const ModelConfig config = plain.model_config(4, 6, 1);
  const int64_t weights = make_network(config.network, Device::kDry)->parameter_count();
  const int64_t more =
      training_bytes(config, with.optimizer) - training_bytes(config, plain.optimizer);
  // Four more averages. Blocks of memory are a little larger than their tensors.
  const auto wanted = static_cast<double>(4 * weights * int64_t{sizeof(float)});
  EXPECT_GE(static_cast<double>(more), wanted);
  EXPECT_LE(static_cast<double>(more), 1.05 * wanted);
}

TEST(TrainingAverages, ThatCannotBeAreRefused) {
  const auto message = [](const std::vector<int64_t>& halflives, const std::string& widths) {
    TrainOptions options = options_of(false);
    options.optimizer.average_halflife = halflives;
    options.optimizer.power_average = widths;
    return test::refusal([&] { options.check(); });
  };
  EXPECT_NE(message({7, 7}, "none").find("half-life 7 is given twice"), std::string::npos);
  EXPECT_NE(message({0}, "none").find("average-halflife"), std::string::npos);
  EXPECT_NE(message({}, "0.1,0.1").find("width 0.1 is given twice"), std::string::npos);
  EXPECT_NE(message({}, "0.1,wide").find("not a list of widths"), std::string::npos);
  EXPECT_NE(message({}, "").find("not a list of widths"), std::string::npos);
  EXPECT_NE(message({}, "0.3").find("must be from 0.0001"), std::string::npos);
  EXPECT_EQ(message({9, 8}, "0.02,0.2"), "");
}

}  // namespace
}  // namespace ddpm
