// What a RunPlanner is told, and what is refused before it works: it may measure for a while.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ddpm/engine/run/run_test_support.h"

namespace ddpm {
namespace {

using ::testing::HasSubstr;

class Planned : public test::RunTest {
 protected:
  RunPlanner planner() {
    return [this](const TrainOptions& options, const ModelConfig&, int64_t pictures) {
      ++plans_;
      told_ = pictures;
      return options;
    };
  }
  std::unique_ptr<ddpm::Run> create(const PictureLoader& pictures = pictures_from_source()) {
    return ddpm::Run::create(folder_ / "a", options_, pictures, {}, planner());
  }

  int plans_ = 0;
  int64_t told_ = 0;
};

TEST_F(Planned, IsToldHowManyPicturesAreLearntFrom) {
  // Of these twelve pictures the hashes hold out another number than six.
  for (int k = 6; k < 12; ++k) draw_picture(std::to_string(k), 15 * k);
  options_.data.validation = 0.4;
  const auto run = create();
  EXPECT_EQ(plans_, 1);
  EXPECT_EQ(told_, run->training_pictures());
  EXPECT_EQ(run->training_pictures() + run->held_out_pictures(), 12);
}

TEST_F(Planned, AValidationOnNoPictureIsRefusedBeforeThePlan) {
  options_.data.validation = 1e-9;
  EXPECT_THAT(test::refusal([&] { create(); }), HasSubstr("holds out none of 6 pictures"));
  EXPECT_EQ(plans_, 0);
}

TEST_F(Planned, MissingClassesAreRefusedBeforeThePlan) {
  options_.data.channels = "1";
  options_.data.classes = true;
  const PictureLoader load = [](const PictureRequest&) {
    return std::make_shared<test::ProgramPictures>([](const BatchPlan&) { return true; });
  };
  EXPECT_THAT(test::refusal([&] { create(load); }), HasSubstr("the pictures have none"));
  EXPECT_EQ(plans_, 0);
}

// The interval follows from the batch, which the plan may change.
TEST_F(Planned, ItsBatchDecidesHowOftenTheLossIsMeasured) {
  options_.data.validation = 0.5;
  const auto interval = [this](const std::string& name, int64_t batch) {
    const RunPlanner plan = [batch](TrainOptions options, const ModelConfig&, int64_t) {
      options.optimizer.batch = batch;
      return options;
    };
    return ddpm::Run::create(folder_ / name, options_, pictures_from_source(), {}, plan)
        ->validate_every();
  };
  EXPECT_GT(interval("a", 2), interval("b", 64));
}

}  // namespace
}  // namespace ddpm
