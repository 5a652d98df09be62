// Evaluations during a training: train --eval-every.
#include "ddpm/engine/run/evaluations.h"

#include <gmock/gmock.h>

#include "ddpm/data/source.h"
#include "ddpm/engine/evaluator.h"
#include "ddpm/engine/run/run_test_support.h"
#include "ddpm/eval/features.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class Evaluations : public test::Resume {
 protected:
  Evaluations() {
    options_.process.timesteps = 10;
    options_.run.eval_every = 2;
    options_.run.eval_n = 4;
  }

  test::Outcome run_and_keep(const std::string& name) {
    RunObserver observer;
    observer.evaluated = [this](const RunEvaluation& evaluation) { told_.push_back(evaluation); };
    observer.warned = [this](const std::string& text) { warnings_ += text + "\n"; };
    return run(name, false, observer);
  }

  std::vector<RunEvaluation> told_;
};

TEST_F(Evaluations, KeepTheBestWeights) {
  run_and_keep("a");
  ASSERT_THAT(told_, SizeIs(3));
  EXPECT_THAT(warnings_, HasSubstr("4 drawn pictures for 256 features; at least 257"));
  size_t best = 0;
  for (size_t i = 0; i < told_.size(); ++i) {
    EXPECT_EQ(told_[i].step, 2 * static_cast<int64_t>(i + 1));
    EXPECT_EQ(told_[i].best, i == 0 || told_[i].frechet < told_[best].frechet);
    if (told_[i].best) best = i;
  }
  EXPECT_EQ(load_model(path("best.safetensors")).trained_steps, told_[best].step);
  EXPECT_TRUE(fs::exists(path("eval.png")));
  EXPECT_THAT(read_file(path("eval.jsonl")), HasSubstr("\"n\":4,\"features\":\"random-v1\"}"));
  // The figure is that of ddpm eval.
  const Model last = load_model(path("model.safetensors"));
  const LoadedSource source =
      load_source(folder_ / "pictures",
                  {.size = {8, 8}, .channels = std::to_string(last.config.network.channels())});
  const auto features = random_features();
  const auto drawn =
      drawn_pictures(*last.network, last.config, GenerateOptions{.count = 4}, nullptr);
  const Evaluation whole =
      evaluate({.network = *features, .real = source.dataset, .judged = *drawn});
  EXPECT_NEAR(told_[2].frechet, *whole.figures.frechet, 1e-9 * told_[2].frechet);
}

TEST_F(Evaluations, DoNotChangeTheWeights) {
  run("a");
  run_other([](TrainOptions& options) { options.run.eval_every = 0; });
  EXPECT_EQ(read_file(path("samples/step-00000006.png")),
            read_file(folder_ / "other/samples/step-00000006.png"));
  EXPECT_FALSE(fs::exists(folder_ / "other/eval.jsonl"));
  const Model with = load_model(path("model.safetensors"));
  const Model without = load_model(folder_ / "other/model.safetensors");
  const auto mine = with.network->parameters(), others = without.network->parameters();
  for (size_t i = 0; i < mine.size(); ++i) {
    EXPECT_EQ(mine[i].parameter->variable.value().values(),
              others[i].parameter->variable.value().values());
  }
}

TEST_F(Evaluations, OfAKilledRunEndAsIfItHadNotBeen) {
  const auto whole = files_of_whole_run();
  for (const int64_t killed_at : {2, 4, 5}) {
    fs::remove_all(folder_ / "a");
    RunObserver observer;
    observer.stepped = [&](const RunMetrics& now) {
      if (now.step == killed_at) fail("test", "the power went");
    };
    EXPECT_THROW(run("a", false, observer), Error);
    expect_to_go_on_to(whole);
  }
}

TEST_F(Evaluations, ThatAreStoppedAreMadeLater) {
  const auto whole = files_of_whole_run();
  RunObserver observer;
  observer.stepped = [&](const RunMetrics& now) { stop_ = now.step == 4; };
  EXPECT_FALSE(run("a", false, observer).finished);
  EXPECT_THAT(read_file(path("eval.jsonl")), ::testing::Not(HasSubstr("\"step\":4")));
  expect_to_go_on_to(whole);
}

TEST(EvaluationLog, IsRepaired) {
  const test::TemporaryFolder folder;
  {
    EvaluationLog log(folder.path(), 0);
    for (const int64_t step : {2, 4, 6})
      log.add({.step = step, .frechet = 10.0 - static_cast<double>(step), .count = 9});
    EXPECT_TRUE(log.has(4));
    EXPECT_FALSE(log.would_be_best({.frechet = 4, .count = 9}));
    EXPECT_TRUE(log.would_be_best({.frechet = 3.9, .count = 9}));
    // Distances of other numbers of pictures are not comparable.
    EXPECT_TRUE(log.would_be_best({.frechet = 4, .count = 8}));
  }
  const std::string file = folder / "eval.jsonl", text = read_file(file);
  write_file_atomic(file, "nonsense\n" + text + "{\"step\":7");
  const EvaluationLog log(folder.path(), 4);
  EXPECT_FALSE(log.has(6));
  EXPECT_TRUE(log.would_be_best({.frechet = 5.9, .count = 9}));
  EXPECT_EQ(read_file(file), text.substr(0, text.find("{\"step\":6")));
}

}  // namespace
}  // namespace ddpm
