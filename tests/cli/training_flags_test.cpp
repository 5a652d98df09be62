// Where the options of a training come from: recipes, a file, flags and sizes of the network.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ddpm/base/file.h"
#include "tests/cli/program.h"
#include "tests/support/folder.h"

namespace ddpm::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;
using Words = std::vector<std::string>;

class TrainingFlags : public ::testing::Test {
 protected:
  void SetUp() override { make_pictures(pictures_, 4); }

  // One step without a grid, on pictures of 8x8.
  Words words(const Words& more) const {
    Words words = {"train", "--data",  pictures_, "--out",          run_, "--size",
                   "8",     "--steps", "1",       "--sample-every", "0",  "--sample-count",
                   "1"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  Words sized(const std::string& size, const Words& more) const {
    Words all = words(more);
    *(std::ranges::find(all, "--size") + 1) = size;
    return all;
  }
  // The config.json of a new run, and what was said about it.
  Json config_of(const Words& more) {
    std::filesystem::remove_all(run_);
    const Outcome outcome = run_ddpm(words(more));
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    said_ = outcome.err;
    return config_in(run_);
  }
  static Json config_in(const std::string& run) {
    Json config = Json::parse(read_file(run + "/config.json"));
    config.erase("run");
    return config;
  }
  std::string write_config(const std::string& text) const {
    write_file_atomic(folder_ / "options.json", text);
    return folder_ / "options.json";
  }

  TemporaryFolder folder_;
  const std::string pictures_ = folder_ / "pictures";
  const std::string run_ = folder_ / "run";
  std::string said_;
};

// Small, so that a step takes no time.
const Words kTiny = {"--dim", "8", "--dim-mults", "1,2", "--batch", "2"};

Words with(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

TEST_F(TrainingFlags, WithoutARecipeTheDefaultOneCounts) {
  const Json config = config_of({});
  EXPECT_EQ(config["recipe"], "fast");
  EXPECT_EQ(config, config_of({"--recipe", "fast"}));
  const Json tutorial = config_of(with(kTiny, {"--recipe", "tutorial"}));
  EXPECT_EQ(tutorial["recipe"], "tutorial");
  EXPECT_EQ(tutorial["objective"], "eps");
  EXPECT_EQ(tutorial["lr"], 2e-4);
  EXPECT_NE(config["objective"], "eps");
}

TEST_F(TrainingFlags, AFileWinsOverTheRecipeAndFlagsWinOverTheFile) {
  const std::string file = write_config(R"({"dim": 8, "dim_mults": [1], "lr": 0.01, "batch": 3})");
  const Json config =
      config_of({"--recipe", "tutorial", "--config", file, "--lr", "0.02", "--batch", "2"});
  EXPECT_EQ(config["recipe"], "tutorial");
  EXPECT_EQ(config["dim_mults"], Json({1}));
  EXPECT_EQ(config["lr"], 0.02);
  EXPECT_EQ(config["batch"], 2);
  EXPECT_EQ(config["lr_schedule"], "constant");
  EXPECT_EQ(config_of({"--config", file})["recipe"], "fast");
}

TEST_F(TrainingFlags, AFileMayNameTheRecipe) {
  const std::string file = write_config(R"({"recipe": "tutorial", "dim": 8, "dim_mults": [1]})");
  const Json config = config_of({"--config", file, "--batch", "2"});
  EXPECT_EQ(config["recipe"], "tutorial");
  EXPECT_EQ(config["lr"], 2e-4);
  EXPECT_EQ(config_of({"--config", file, "--recipe", "tutorial", "--batch", "2"}), config);
  expect_refused(words({"--config", file, "--recipe", "fast"}), 2,
                 "--recipe is fast, but the options in " + file +
                     " belong to the recipe tutorial; leave one of them out");
  expect_refused(words({"--config", write_config(R"({"recipe": "quick"})")}), 2,
                 "there is no recipe 'quick'; choose fast or tutorial");
}

TEST_F(TrainingFlags, TheWholeFileOfARunGivesThatRun) {
  for (const char* recipe : {"fast", "tutorial"}) {
    const Json config = config_of(with(kTiny, {"--recipe", recipe, "--objective", "x0"}));
    const std::string file = write_config(read_file(run_ + "/config.json"));
    const std::string again = folder_ / "again";
    std::filesystem::remove_all(again);
    ASSERT_EQ(run_ddpm({"train", "--config", file, "--out", again}).status, 0);
    EXPECT_EQ(config_in(again), config);
  }
}

TEST_F(TrainingFlags, WrongValuesInAFileAreToldWithItsName) {
  const std::string path = folder_ / "options.json";
  const std::pair<const char*, const char*> cases[] = {
      {R"({"recipe": [5]})", ": recipe is [5], which is not a text"},
      {R"({"recipe": 5})", ": there is no recipe '5'; choose fast or tutorial"},
      {R"({"recipe": "quick"})", ": there is no recipe 'quick'; choose fast or tutorial"},
      {R"({"lr": "x"})", ": lr is \"x\", which is not a number"},
      {R"({"dim": 1.5})", ": dim is 1.5, which is not a whole number"},
      {R"({"seed": -1})", ": seed is -1, which is not a whole number of at least 0"},
      {R"({"classes": 1})", ": classes is 1, which is not true or false"},
      {R"({"attention_levels": 1})", ": attention_levels is 1, which is not a list"},
      {R"({"network": 5})", ": there is no network '5'; choose tutorial or lucidrains"},
      {R"({"schedule": "cosin"})", ": there is no schedule 'cosin'; choose"},
      {R"({"lr": -1})", ": lr is -1 but must be above 0"},
      {R"({"average_halflife": [-1]})", ": an element of average-halflife is -1 but must lie"}};
  for (const auto& [text, says] : cases) {
    write_config(text);
    expect_refused(words({"--config", path}), 2, "[train] " + path + says);
  }
  // A flag wins over the value in the file.
  write_config(R"({"lr": -1})");
  expect_refused(words({"--config", path, "--lr", "-2"}), 2, "[train] --lr is -2 but must");
  EXPECT_EQ(config_of(with(kTiny, {"--config", path, "--lr", "0.01"}))["lr"], 0.01);
  expect_refused({"train", "--out", run_, "--resume", "--config", path}, 2,
                 "[train] " + path + ": lr is -1 but must");
}

// A run of a version without recipes, whose file also lacks an option that came later.
TEST_F(TrainingFlags, TheFileOfAnOldRunHasTheTutorialsValues) {
  Json config = config_of(with(kTiny, {"--recipe", "tutorial", "--lr", "0.01"}));
  Json old = Json::parse(read_file(run_ + "/config.json"));
  for (const char* key : {"recipe", "low_discrepancy", "lr_schedule"}) old.erase(key);
  const std::string file = write_config(old.dump());
  EXPECT_EQ(config_of({"--config", file}), config);
  expect_refused(words({"--config", file, "--recipe", "fast"}), 2, "belong to the recipe tutorial");
}

TEST_F(TrainingFlags, AResumedRunKeepsItsRecipe) {
  const Json config = config_of(with(kTiny, {"--recipe", "tutorial"}));
  const Words resume = {"train", "--out", run_, "--resume", "--steps", "2"};
  Outcome outcome = run_ddpm(resume);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  Json now = config_in(run_);
  EXPECT_EQ(now["steps"], 2);
  now["steps"] = config["steps"];
  EXPECT_EQ(now, config);
  EXPECT_EQ(run_ddpm(with(resume, {"--recipe", "tutorial"})).status, 0);
  expect_refused(with(resume, {"--recipe", "fast"}), 2,
                 "the run was started with recipe = \"tutorial\" and cannot be resumed with "
                 "\"fast\"");
  // The same command again, as a supervisor gives it.
  outcome = run_ddpm(words(with(kTiny, {"--recipe", "tutorial", "--resume-or-start"})));
  EXPECT_THAT(outcome.err, Not(HasSubstr("recipe"))) << outcome.err;
}

TEST_F(TrainingFlags, AnOldRunIsResumedWithItsOwnOptions) {
  config_of(with(kTiny, {"--recipe", "tutorial"}));
  Json old = Json::parse(read_file(run_ + "/config.json"));
  old.erase("recipe");
  write_file_atomic(run_ + "/config.json", old.dump());
  const Outcome outcome = run_ddpm({"train", "--out", run_, "--resume", "--steps", "2"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(config_in(run_)["recipe"], "tutorial");
  EXPECT_EQ(config_in(run_)["objective"], "eps");
}

TEST_F(TrainingFlags, WhatSuitsOnlyAnotherChoiceFollowsItAndIsSaid) {
  const Json config = config_of(with(kTiny, {"--objective", "eps", "--optimizer", "muon"}));
  EXPECT_EQ(config["lr"], 2e-4);
  EXPECT_EQ(config["attention_levels"], Json::array());
  EXPECT_THAT(said_, HasSubstr("recipe fast: with optimizer muon, lr is 0.0002\n"));
  EXPECT_THAT(said_,
              HasSubstr("recipe fast: with dim-mults 1,2, attention-levels is all levels\n"));
  const Words chosen = with(kTiny, {"--optimizer", "muon", "--attention-levels", "0"});
  EXPECT_EQ(config_of(with(chosen, {"--lr", "0.003"}))["lr"], 0.003);
  EXPECT_THAT(said_, Not(HasSubstr("recipe fast")));
  const std::string file = write_config(R"({"lr": 0.004})");
  EXPECT_EQ(config_of(with(chosen, {"--config", file}))["lr"], 0.004);
}

TEST_F(TrainingFlags, ASizeGivesTheNetworkAlone) {
  const Json plain = config_of({});
  Json config = config_of({"--model-size", "tiny"});
  EXPECT_EQ(config["dim"], 16);
  EXPECT_EQ(config["dim_mults"], Json({1, 2, 4}));
  EXPECT_EQ(config["attention_levels"], Json({0, 0, 0}));
  EXPECT_THAT(said_, Not(HasSubstr("--model-size")));
  for (const char* key : {"dim", "attention_levels", "model"}) config[key] = plain[key];
  EXPECT_EQ(config, plain);
}

TEST_F(TrainingFlags, FlagsWinOverTheSizeAndTheSizeOverTheFile) {
  const std::string file = write_config(R"({"dim": 40, "heads": 2, "dim_head": 8})");
  const Outcome outcome = run_ddpm({"info", "--json", "--config", file, "--model-size", "small",
                                    "--dim-head", "16", "--dim-mults", "1,2", "--size", "31x34"});
  // 31 cannot be halved, as the flag asks.
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.err, HasSubstr("31"));
  const Outcome fits = run_ddpm({"info", "--json", "--config", file, "--model-size", "small",
                                 "--dim-head", "16", "--dim-mults", "1,2", "--size", "30x34"});
  ASSERT_EQ(fits.status, 0) << fits.err;
  EXPECT_EQ(fits.err, "");
  const Json network = Json::parse(fits.out)["config"];
  EXPECT_EQ(network["dim"], 32);
  EXPECT_EQ(network["dim_mults"], Json({1, 2}));
  EXPECT_EQ(network["heads"], 4);
  EXPECT_EQ(network["dim_head"], 16);
  EXPECT_EQ(network["attention_levels"], Json({0, 0}));
}

TEST_F(TrainingFlags, ASizeHasFewerLevelsWhereThePicturesAllowNoMore) {
  const Outcome outcome = run_ddpm({"info", "--json", "--model-size", "base", "--size", "28"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(Json::parse(outcome.out)["config"]["dim_mults"], Json({1, 2, 4}));
  EXPECT_THAT(outcome.err, HasSubstr("pictures of 28x28 cannot be halved at all of its levels, so "
                                     "the network has 1 fewer: dim_mults [1,2,4]\n"));
}

TEST_F(TrainingFlags, LevelsThatNobodyChoseAreLeftOutWhereThePicturesAllowNoMore) {
  const auto network = [this](const Words& more) {
    const Outcome outcome = run_ddpm(with({"info", "--json"}, more));
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    said_ = outcome.err;
    return Json::parse(outcome.out)["config"];
  };
  Json config = network({"--size", "30x34"});
  EXPECT_EQ(config["dim"], 32);
  EXPECT_EQ(config["dim_mults"], Json({1, 2}));
  EXPECT_EQ(config["attention_levels"], Json({0, 0}));
  EXPECT_EQ(said_,
            "recipe fast: pictures of 30x34 cannot be halved at all of its levels, so the network "
            "has 1 fewer: dim_mults [1,2]\n");
  EXPECT_EQ(network({"--size", "31x33"})["dim_mults"], Json({1}));
  EXPECT_THAT(said_, HasSubstr("so the network has 2 fewer: dim_mults [1]\n"));
  EXPECT_EQ(network({"--size", "28", "--recipe", "tutorial"})["dim_mults"], Json({1, 2, 4}));
  EXPECT_THAT(said_, HasSubstr("recipe tutorial: pictures of 28x28 cannot"));
  config = network({"--size", "30x34", "--network", "lucidrains", "--dim", "16"});
  EXPECT_EQ(config["dim"], 16);
  EXPECT_EQ(config["dim_mults"], Json({1, 2}));
  EXPECT_EQ(network({"--size", "28"})["dim_mults"], Json({1, 2, 4}));
  EXPECT_EQ(said_, "");
}

TEST_F(TrainingFlags, LevelsThatTheUserChoseStay) {
  const std::string says = "height 30 is not divisible by 4";
  expect_refused(sized("30x34", {"--dim-mults", "1,2,4"}), 2, says);
  const std::string file = write_config(R"({"dim_mults": [1, 2, 4]})");
  expect_refused(sized("30x34", {"--config", file}), 2, says);
  expect_refused(sized("30x34", {"--attention-levels", "0,1,1"}), 2, says);
}

TEST_F(TrainingFlags, ATrainingOfOddPicturesNeedsNoFlags) {
  for (const char* size : {"10x6", "7x9"}) {
    std::filesystem::remove_all(run_);
    const Outcome outcome = run_ddpm(sized(size, {"--batch", "2"}));
    EXPECT_EQ(outcome.status, 0) << outcome.err;
  }
  EXPECT_EQ(config_in(run_)["dim_mults"], Json({1}));
}

TEST_F(TrainingFlags, ASizeIsForOtherFamiliesToo) {
  const Outcome outcome =
      run_ddpm({"info", "--json", "--network", "lucidrains", "--model-size", "tiny"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const Json network = Json::parse(outcome.out)["config"];
  EXPECT_EQ(network["network"], "lucidrains");
  EXPECT_EQ(network["dim"], 16);
  EXPECT_EQ(run_ddpm({"bench", "--model-size", "tiny", "--size", "8", "--batch", "1",
                      "--repetitions", "1"})
                .status,
            0);
}

TEST_F(TrainingFlags, ARunKeepsItsSize) {
  const Words tiny = {"--model-size", "tiny", "--batch", "2"};
  config_of(tiny);
  EXPECT_EQ(run_ddpm(words(with(tiny, {"--resume-or-start"}))).status, 0);
  expect_refused({"train", "--out", run_, "--resume", "--steps", "2", "--model-size", "small"}, 2,
                 "dim = 16");
}

TEST_F(TrainingFlags, UnknownNamesAreRefused) {
  expect_refused(words({"--recipe", "fsat"}), 2,
                 "there is no recipe 'fsat'; choose fast or tutorial");
  expect_refused(words({"--model-size", "huge"}), 2,
                 "there is no model size 'huge'; choose tiny, small, base or large");
  make_model(folder_ / "model.safetensors");
  for (const Words& flags : {Words{"--recipe", "fast"}, {"--model-size", "small"}}) {
    expect_refused(with({"info", folder_ / "model.safetensors"}, flags), 2,
                   flags[0] + " describes a network, and so does MODEL");
  }
}

TEST(TrainingHelp, ListsRecipesAndSizesAndShowsTheDefaultRecipesValues) {
  for (const char* command : {"train", "info"}) {
    const Outcome outcome = run_ddpm({command, "--help"});
    EXPECT_THAT(outcome.out, HasSubstr("--recipe fast|tutorial"));
    EXPECT_THAT(outcome.out, HasSubstr("--model-size tiny|small|base|large"));
    EXPECT_THAT(outcome.out, HasSubstr("\nRecipes:\n  fast "));
    EXPECT_THAT(outcome.out, HasSubstr("\nModel sizes:\n  tiny "));
    EXPECT_THAT(outcome.out, HasSubstr("35.5 M parameters"));
  }
}

TEST_F(TrainingFlags, ABudgetChoosesWhatTheUserLeavesOpen) {
  Words asked = {"train", "--data",   pictures_, "--out",          run_, "--size",
                 "8",     "--budget", "2s",      "--sample-count", "1",  "--sample-steps",
                 "2"};
  const Outcome outcome = run_ddpm(asked);
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("plan for 2s:\n  about "));
  EXPECT_THAT(outcome.err, HasSubstr("the network tiny: "));
  const Json planned = config_in(run_);
  EXPECT_EQ(planned["dim"], 16);
  EXPECT_EQ(planned["average_halflife"].size(), 1u);
  std::filesystem::remove_all(run_);
  asked.insert(asked.end(), {"--dim", "8", "--ema-decay", "0.9", "--batch", "2"});
  const Outcome chosen = run_ddpm(asked);
  ASSERT_EQ(chosen.status, 0) << chosen.err;
  EXPECT_THAT(chosen.err, Not(HasSubstr("the network tiny")));
  const Json config = config_in(run_);
  EXPECT_EQ(config["dim"], 8);
  EXPECT_EQ(config["batch"], 2);
  EXPECT_EQ(config["ema_decay"], 0.9);
  EXPECT_EQ(config["average_halflife"], Json::array());
}

TEST_F(TrainingFlags, ClassesThatAreWorthLearningAreLearntUnlessTheUserSaysOtherwise) {
  const auto learns = [this](Words more) {
    more.insert(more.end(), kTiny.begin(), kTiny.end());
    return config_of(more)["classes"];
  };
  EXPECT_EQ(learns({"--label-dropout", "0.2"}), false);
  EXPECT_THAT(said_, HasSubstr("warning: --label-dropout changes nothing without classes"));
  for (const char* name : {"/cat", "/dog"}) make_pictures(pictures_ + name, 20);
  EXPECT_EQ(learns({"--label-dropout", "0.2"}), true);
  EXPECT_THAT(said_, Not(HasSubstr("warning: --label-dropout")));
  EXPECT_EQ(learns({"--no-classes"}), false);
  EXPECT_EQ(learns({"--recipe", "tutorial"}), false);
  EXPECT_EQ(learns({"--condition", "grey"}), false);
  EXPECT_EQ(learns({"--config", write_config(R"({"classes": false})")}), false);
}

}  // namespace
}  // namespace ddpm::test
