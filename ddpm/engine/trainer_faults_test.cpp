// Steps that are not finite, and what they leave.
#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <optional>

#include "ddpm/engine/trainer_test_support.h"
#include "ddpm/engine/weights.h"

namespace ddpm {
namespace {

using test::pictures;
using test::small_options;

class FaultyTrainer : public ::testing::TestWithParam<int64_t> {
 protected:
  FaultyTrainer() {
    TrainOptions options = small_options();
    options.optimizer.batch = 4;
    options.optimizer.micro_batch = GetParam();
    trainer_.emplace(options.optimizer, options.model_config(4, 6, 1), [this](int64_t step) {
      Tensor images = pictures(step);
      if (poison_) images.f32()[images.elements() - 1] = kNan;
      return images;
    });
    trainer_->step();
  }

  Tensor first_weight() { return parameter_tensors(trainer_->network())[0]; }
  // Does a step, which must change no weights, and returns why it was skipped.
  std::string skipped_step() {
    const std::vector<float> before = first_weight().values();
    const int64_t updates = trainer_->optimizer().steps(), step = trainer_->steps();
    const StepMetrics metrics = trainer_->step();
    EXPECT_EQ(metrics.step, step + 1);
    EXPECT_EQ(trainer_->steps(), step + 1);
    EXPECT_EQ(trainer_->optimizer().steps(), updates);
    // Also true of NaN.
    const std::vector<float> after = first_weight().values();
    EXPECT_EQ(std::memcmp(before.data(), after.data(), before.size() * sizeof(float)), 0);
    return metrics.skipped;
  }

  static constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  bool poison_ = false;
  std::optional<Trainer> trainer_;
};

TEST_P(FaultyTrainer, SkipsPicturesThatAreNoNumbersAndGoesOn) {
  poison_ = true;
  EXPECT_EQ(skipped_step(), "the pictures contain nan");
  poison_ = false;
  EXPECT_EQ(trainer_->step().skipped, "");
  EXPECT_EQ(trainer_->optimizer().steps(), 2);
}

TEST_P(FaultyTrainer, SkipsWhereAWeightIsNoNumber) {
  first_weight().f32()[0] = kNan;
  EXPECT_EQ(skipped_step(), "the loss became nan");
}

// The gradient of the step before last must not stay behind.
TEST_P(FaultyTrainer, SkipsWhereAGradientIsNoNumberAndForgetsIt) {
  const Variable weight = trainer_->network().parameters()[0].parameter->variable;
  weight.slot()->accumulate(Tensor::full(weight.shape(), kNan));
  EXPECT_EQ(skipped_step(), "the gradient became nan");
  EXPECT_EQ(trainer_->step().skipped, "");
}

TEST_P(FaultyTrainer, RestartsAtItsFirstState) {
  const Tensor weight = first_weight();
  for (int i = 0; i < 3; ++i) trainer_->step();
  const std::vector<float> after = weight.values();
  trainer_->restart();
  EXPECT_EQ(trainer_->steps(), 0);
  for (int i = 0; i < 4; ++i) trainer_->step();
  EXPECT_EQ(weight.values(), after);
}

INSTANTIATE_TEST_SUITE_P(MicroBatch, FaultyTrainer, ::testing::Values(0, 1));

}  // namespace
}  // namespace ddpm
