// Validation in whole runs: train --validation.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <stdexcept>

#include "ddpm/base/json.h"
#include "ddpm/base/threads.h"
#include "ddpm/engine/run/run_pictures.h"
#include "ddpm/engine/run/run_test_support.h"
#include "ddpm/engine/validation.h"
#include "tests/support/threads.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Key;
using ::testing::Not;
using ::testing::SizeIs;

class Validated : public test::Resume {
 protected:
  Validated() {
    options_.process.timesteps = 10;
    options_.data.validation = 0.5;
    options_.run.validate_every = 2;
    for (int k = 6; k < 12; ++k) draw_picture(std::to_string(k), 15 * k);
  }

  // The validation of each line that has one.
  std::map<int64_t, std::vector<double>> validations(const std::string& name) {
    std::map<int64_t, std::vector<double>> all;
    for (const std::string& text : metrics(name)) {
      const JsonObject line = JsonObject::parse(text, "a line");
      if (line.find("val_loss") == nullptr) continue;
      int64_t step = 0;
      double loss = 0;
      std::vector<double> values;
      json_value::read(*line.find("step"), "step", step);
      json_value::read(*line.find("val_loss"), "val_loss", loss);
      json_value::read(*line.find("val_by_level"), "val_by_level", values);
      values.push_back(loss);
      all[step] = values;
    }
    return all;
  }
};

TEST_F(Validated, EveryFewStepsAndAtTheEnd) {
  options_.optimizer.steps = 5;
  options_.run.log_every = 3;
  std::map<int64_t, double> told;
  RunObserver observer;
  observer.stepped = [&](const RunMetrics& now) {
    if (now.validation_loss) told[now.step] = *now.validation_loss;
    EXPECT_EQ(now.validation_by_level.size(), now.validation_loss ? 8u : 0u);
  };
  run("a", false, observer);
  EXPECT_THAT(metrics("a"), SizeIs(4));
  const auto all = validations("a");
  EXPECT_THAT(all, ElementsAre(Key(2), Key(4), Key(5)));
  for (const auto& [step, values] : all) {
    EXPECT_THAT(values, SizeIs(9));
    EXPECT_EQ(told[step], values.back());
  }
}

TEST_F(Validated, PicturesAreNotLearntFrom) {
  run("a");
  const auto run_again = Run::resume(folder_ / "a", pictures_from_source());
  const int64_t learnt = run_again->training_pictures(), out = run_again->held_out_pictures();
  EXPECT_EQ(learnt + out, 12);
  EXPECT_GT(learnt, 1);
  EXPECT_GT(out, 1);
  // Other weights than with all pictures.
  run_other([](TrainOptions& options) { options.data.validation = 0; });
  EXPECT_NE(weights("a"), weights("other"));
  EXPECT_THAT(validations("other"), SizeIs(0));
}

TEST_F(Validated, ChangesNoWeights) {
  run("a");
  run_other([](TrainOptions& options) { options.run.validate_every = 0; });
  EXPECT_EQ(weights("a"), weights("other"));
  // By default this short run is validated at its end.
  EXPECT_THAT(validations("other"), ElementsAre(Key(6)));
  EXPECT_EQ(validations("other")[6], validations("a")[6]);
}

TEST_F(Validated, TheLossFallsWithTraining) {
  options_.optimizer.steps = 60;
  options_.optimizer.lr = 3e-3;
  options_.optimizer.lr_warmup = 0;
  options_.optimizer.ema_decay = 0.9;
  options_.run.validate_every = 30;
  options_.run.sample_every = 0;
  options_.run.save_every = 100;
  run("a");
  auto all = validations("a");
  EXPECT_LT(all[60].back(), 0.7 * all[30].back());
}

TEST_F(Validated, DoesNotDependOnTheThreads) {
  const test::ThreadsScope scope;
  set_num_threads(1);
  run("a");
  set_num_threads(2);
  run_other([](TrainOptions&) {});
  EXPECT_EQ(validations("a"), validations("other"));
}

TEST_F(Validated, AKilledRunEndsAsIfItHadNotBeen) {
  const auto whole = files_of_whole_run();
  for (const int64_t killed_at : {2, 3, 4, 5}) {
    fs::remove_all(folder_ / "a");
    RunObserver observer;
    observer.stepped = [&](const RunMetrics& now) {
      if (now.step == killed_at) throw std::runtime_error("killed");
    };
    EXPECT_THROW(run("a", false, observer), std::runtime_error);
    expect_to_go_on_to(whole);
  }
}

// A validation that is stopped is made later, in the middle of a run and at its end.
TEST_F(Validated, AStopDuringAValidationEndsAsIfItHadNotBeen) {
  const auto whole = files_of_whole_run();
  for (const int64_t stopped_at : {4, 6}) {
    fs::remove_all(folder_ / "a");
    stop_ = false;
    RunObserver observer;
    observer.stopping = [this] { return stop_.load(); };
    {
      const auto run = Run::create(folder_ / "a", options_, pictures_from_source(), observer);
      while (run->steps() < stopped_at - 1) run->step();
      stop_ = true;
      EXPECT_FALSE(run->step().validation_loss);
      EXPECT_FALSE(run->finish());
    }
    EXPECT_EQ(validations("a").count(stopped_at), 0u);
    expect_to_go_on_to(whole);
  }
}

TEST_F(Validated, StaysTheSameSplitWhenPicturesAreAdded) {
  options_.optimizer.steps = 3;
  run("a");
  const auto before = Run::resume(folder_ / "a", pictures_from_source())->held_out_pictures();
  for (int k = 12; k < 30; ++k) draw_picture(fmt::format("z{}", k), 8 * k);
  options_.optimizer.steps = 6;
  EXPECT_TRUE(resume(true).finished);
  const auto after = Run::resume(folder_ / "a", pictures_from_source())->held_out_pictures();
  EXPECT_GT(after, before);
  EXPECT_THAT(validations("a"), ElementsAre(Key(2), Key(3), Key(4), Key(6)));
}

TEST_F(Validated, TooFewPicturesAreRefused) {
  options_.data.validation = 1e-6;
  EXPECT_THROW(run("a"), UsageError);
  EXPECT_FALSE(fs::exists(folder_ / "a"));
  options_.data.validation = 1;
  EXPECT_THROW(run("a"), UsageError);
}

TEST_F(Validated, AResumedRunKeepsItsShare) {
  options_.optimizer.steps = 3;
  run("a");
  options_.data.validation = 0.4;
  options_.optimizer.steps = 6;
  EXPECT_THROW(resume(), UsageError);
}

TEST_F(Validated, ThePicturesOfARunAreFoundAgain) {
  run("a");
  const std::string before = read_file(folder_ / "a/config.json");
  const RunPictures found = pictures_of_run(folder_ / "a", {});
  EXPECT_EQ(found.held_out->size(),
            Run::resume(folder_ / "a", pictures_from_source())->held_out_pictures());
  EXPECT_EQ(found.held_out->size() + found.training->size(), 12);
  EXPECT_EQ(std::ssize(found.hashes), found.held_out->size());
  EXPECT_EQ(read_file(folder_ / "a/config.json"), before);
  // Another file has another hash, which may be on the other side.
  draw_picture("7", 1);
  EXPECT_THAT(test::refusal([&] { pictures_of_run(folder_ / "a", {}); }), HasSubstr("7.png"));
  fs::remove_all(folder_ / "pictures");
  EXPECT_THAT(test::message_of([&] { pictures_of_run(folder_ / "a", {}); }),
              AllOf(HasSubstr("pictures"), Not(HasSubstr("--data"))));
}

// The only picture of a class is held out or not, depending on its hash.
TEST_F(Validated, WarnsOfAClassThatIsNotLearnt) {
  fs::create_directories(folder_ / "pictures/lone");
  options_.data.classes = true;
  int warned = 0;
  for (int shade = 0; shade < 8; ++shade) {
    draw_picture("lone/0", shade);
    std::string warnings;
    RunObserver observer;
    observer.warned = [&](const std::string& text) { warnings += text; };
    fs::remove_all(folder_ / "a");
    const auto run = Run::create(folder_ / "a", options_, pictures_from_source(), observer);
    const bool is_learnt = run->config().class_counts[0] > 0;
    EXPECT_EQ(warnings.find("class lone are held out") == std::string::npos, is_learnt);
    warned += is_learnt ? 0 : 1;
  }
  EXPECT_GT(warned, 0);
  EXPECT_LT(warned, 8);
}

TEST_F(Validated, WithEverythingThatANetworkIsTold) {
  fs::create_directories(folder_ / "pictures/b");
  for (int k = 0; k < 6; ++k) draw_picture(fmt::format("b/{}", k), 33 * k + 5);
  options_.data.classes = true;
  options_.data.condition = "downscale:2";
  options_.data.flip = true;
  options_.process.learned_variance = true;
  test::unet_of(options_).self_condition = true;
  const auto whole = files_of_whole_run();
  RunObserver observer;
  observer.stepped = [&](const RunMetrics& now) { stop_ = now.step == 4; };
  EXPECT_FALSE(run("a", false, observer).finished);
  expect_to_go_on_to(whole);
  EXPECT_THAT(validations("a"), ElementsAre(Key(2), Key(4), Key(6)));
}

}  // namespace
}  // namespace ddpm
