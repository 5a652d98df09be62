// Trainings on several ranks, which are threads here.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "ddpm/base/error.h"
#include "ddpm/comm/thread_group.h"
#include "ddpm/engine/checkpoint.h"
#include "ddpm/engine/trainer_test_support.h"
#include "ddpm/engine/weights.h"
#include "ddpm/nn/lucidrains/unet.h"
#include "ddpm/nn/tutorial/unet.h"
#include "ddpm/tensor/memory.h"
#include "tests/support/errors.h"
#include "tests/support/folder.h"

namespace ddpm {
namespace {

constexpr int64_t kBatch = 22;
constexpr int kSteps = 4;

TrainOptions options_with(const std::string& optimizer) {
  TrainOptions options = test::small_options();
  options.optimizer.batch = kBatch;
  options.optimizer.micro_batch = 4;
  options.optimizer.update.optimizer = optimizer;
  options.optimizer.update.precondition_every = 2;
  options.optimizer.average_halflife = {100};
  options.optimizer.power_average = "0.1";
  return options;
}

// All pictures of a step, with classes.
Batch whole_batch(int64_t step) {
  Batch batch(Tensor({kBatch, 4, 6, 1}));
  for (int64_t i = 0; i < batch.images.elements(); ++i)
    batch.images.f32()[i] = std::sin(static_cast<float>(i + 7 * step));
  batch.labels = Tensor::zeros({kBatch});
  for (int64_t n = 0; n < kBatch; ++n) batch.labels.f32()[n] = static_cast<float>(n % 2);
  return batch;
}

// What a training leaves.
struct Result {
  std::vector<StepMetrics> steps;
  std::vector<std::vector<float>> tensors;
};

Result result_of(Trainer& trainer, std::vector<StepMetrics> steps) {
  Result result{.steps = std::move(steps)};
  const auto add = [&](const std::vector<Tensor>& tensors) {
    for (const Tensor& tensor : tensors) result.tensors.push_back(trainer.fetch(tensor).values());
  };
  add(parameter_tensors(trainer.network()));
  for (const NamedAverage& average : trainer.averages()) add(average.values);
  for (const StateTensor& state : trainer.optimizer().state()) add({state.tensor});
  return result;
}

using Use = std::function<void(Trainer&)>;

// Rank 0 uses its trainer, the others serve it.
void on_ranks(int count, const TrainOptions& options, const ModelConfig& config, const Use& use) {
  run_thread_group(count, [&](Communicator& ranks) {
    Range own;
    Trainer trainer(
        options.optimizer, config,
        [&own](int64_t step) { return whole_batch(step).rows(own.begin, own.end); }, ranks);
    own = trainer.own_pictures();
    if (ranks.rank() == 0)
      use(trainer);
    else
      trainer.serve();
  });
}

std::vector<StepMetrics> steps_of(Trainer& trainer, int count) {
  std::vector<StepMetrics> steps;
  for (int i = 0; i < count; ++i) steps.push_back(trainer.step());
  return steps;
}

Result train_on_ranks(int count, const TrainOptions& options, const ModelConfig& config) {
  Result result;
  on_ranks(count, options, config,
           [&](Trainer& trainer) { result = result_of(trainer, steps_of(trainer, kSteps)); });
  return result;
}

Result train_alone(const TrainOptions& options, const ModelConfig& config) {
  Trainer trainer(options.optimizer, config, whole_batch);
  std::vector<StepMetrics> steps = steps_of(trainer, kSteps);
  return result_of(trainer, std::move(steps));
}

void expect_same_bits(const Result& result, const Result& expected, const std::string& what) {
  ASSERT_EQ(result.steps.size(), expected.steps.size()) << what;
  for (size_t i = 0; i < result.steps.size(); ++i) {
    EXPECT_EQ(result.steps[i].loss, expected.steps[i].loss) << what << ", step " << i;
    const double norm = result.steps[i].gradient_norm;
    if (!std::isnan(norm)) {
      EXPECT_EQ(norm, expected.steps[i].gradient_norm) << what;
    }
    EXPECT_EQ(result.steps[i].learning_rate, expected.steps[i].learning_rate) << what;
    EXPECT_EQ(result.steps[i].skipped, expected.steps[i].skipped) << what;
  }
  ASSERT_EQ(result.tensors.size(), expected.tensors.size()) << what;
  for (size_t i = 0; i < result.tensors.size(); ++i)
    ASSERT_EQ(result.tensors[i], expected.tensors[i]) << what << ", tensor " << i;
}

void expect_same_bits_on_ranks(const std::vector<int>& counts, const TrainOptions& options,
                               const ModelConfig& config) {
  const Result alone = train_alone(options, config);
  for (const int count : counts)
    expect_same_bits(train_on_ranks(count, options, config), alone,
                     std::to_string(count) + " ranks");
}

class TrainerOnRanks : public ::testing::TestWithParam<std::string> {};

TEST_P(TrainerOnRanks, HasTheSameBitsForAnyNumber) {
  const TrainOptions options = options_with(GetParam());
  expect_same_bits_on_ranks({2, 3}, options, options.model_config(4, 6, 1));
}

INSTANTIATE_TEST_SUITE_P(Optimizers, TrainerOnRanks, ::testing::Values("adam", "muon", "soap"),
                         [](const auto& test) { return test.param; });

// Some of them have nothing to compute.
TEST(TrainerRanks, MayBeMoreThanTheBatchHasChunks) {
  const TrainOptions options = options_with("adam");
  expect_same_bits_on_ranks({1, 4, 8}, options, options.model_config(4, 6, 1));
}

// Some of them have nothing to update.
TEST(TrainerRanks, MayBeMoreThanTheParameters) {
  for (const char* optimizer : {"adam", "muon"}) {
    TrainOptions options = options_with(optimizer);
    options.network = tutorial::UnetConfig{.dim = 8, .dim_mults = {1}};
    const ModelConfig config = options.model_config(4, 6, 1);
    const size_t parameters = make_network(config.network)->parameters().size();
    expect_same_bits_on_ranks({static_cast<int>(parameters) + 3}, options, config);
  }
}

TEST(TrainerRanks, HaveTheSameBitsWithAllThatIsRandom) {
  TrainOptions options = options_with("adam");
  options.network = lucidrains::UnetConfig{.dim = 8, .dim_mults = {1, 2}, .dropout = 0.2};
  options.process.low_discrepancy = true;
  options.optimizer.label_dropout = 0.3;
  options.optimizer.augment = 0.5;
  options.optimizer.recompute = true;
  options.network.augment_channels() = 9;
  const ModelConfig config = test::config_with_classes(options);
  expect_same_bits_on_ranks({2, 3}, options, config);
}

TEST(TrainerRanks, HoldOnlyAPartOfTheState) {
  const TrainOptions options = options_with("adam");
  on_ranks(2, options, options.model_config(4, 6, 1), [](Trainer& trainer) {
    int64_t all = 0, here = 0;
    for (const StateTensor& state : trainer.optimizer().state()) {
      all += state.tensor.elements();
      if (state.tensor.memory().holds_values()) here += state.tensor.elements();
    }
    EXPECT_NEAR(static_cast<double>(here), 0.5 * static_cast<double>(all),
                0.1 * static_cast<double>(all));
  });
}

TEST(TrainerRanks, GoOnFromACheckpointWithAnotherNumberOfRanks) {
  const TrainOptions options = options_with("soap");
  const ModelConfig config = options.model_config(4, 6, 1);
  const test::TemporaryFolder folder;
  const std::string path = folder / "checkpoint.safetensors";
  on_ranks(3, options, config, [&](Trainer& trainer) {
    steps_of(trainer, 3);
    save_checkpoint(path, config, trainer.network(), trainer.optimizer(), {}, 0, trainer.averages(),
                    [&](const Tensor& place) { return trainer.fetch(place); });
  });
  Result result;
  on_ranks(2, options, config, [&](Trainer& trainer) {
    const Checkpoint checkpoint = Checkpoint::open(path);
    checkpoint.load(
        trainer.network(), trainer.optimizer(), trainer.averages(),
        [&](const Tensor& place, const Tensor& values) { trainer.deliver(place, values); });
    trainer.set_steps(checkpoint.step());
    trainer.share();
    result = result_of(trainer, steps_of(trainer, kSteps - 3));
  });
  Result alone = train_alone(options, config);
  alone.steps.erase(alone.steps.begin(), alone.steps.begin() + 3);
  expect_same_bits(result, alone, "resumed");
}

TEST(TrainerRanks, StartAgainFromTheInitialWeights) {
  const TrainOptions options = options_with("soap");
  const ModelConfig config = options.model_config(4, 6, 1);
  Result again;
  on_ranks(2, options, config, [&](Trainer& trainer) {
    steps_of(trainer, 3);
    trainer.restart();
    again = result_of(trainer, steps_of(trainer, kSteps));
  });
  expect_same_bits(again, train_alone(options, config), "again");
}

TEST(TrainerRanks, SkipAStepIfAPictureOfAnyRankIsNotFinite) {
  const TrainOptions options = options_with("adam");
  const ModelConfig config = options.model_config(4, 6, 1);
  run_thread_group(3, [&](Communicator& ranks) {
    Range own;
    Trainer trainer(
        options.optimizer, config,
        [&own](int64_t step) {
          Batch batch = whole_batch(step);
          if (step == 1) batch.images.rows(20, 21).f32()[3] = NAN;
          return batch.rows(own.begin, own.end);
        },
        ranks);
    own = trainer.own_pictures();
    if (ranks.rank() != 0) return trainer.serve();
    EXPECT_EQ(trainer.step().skipped, "");
    EXPECT_EQ(trainer.step().skipped, "the pictures contain nan");
    EXPECT_EQ(trainer.step().skipped, "");
    EXPECT_EQ(trainer.optimizer().steps(), 2);
  });
}

TEST(TrainerRanks, SkipAStepIfTheLossOfAnyRankIsNotFinite) {
  const TrainOptions options = options_with("adam");
  const ModelConfig config = options.model_config(4, 6, 1);
  const auto spoiled = [](int64_t step) {
    Batch batch = whole_batch(step);
    // The first of three chunks of the last of two ranks.
    if (step == 1) batch.images.rows(12, 13).f32()[3] = 1e30f;
    return batch;
  };
  Trainer alone(options.optimizer, config, spoiled);
  const std::vector<StepMetrics> expected = steps_of(alone, 4);
  ASSERT_NE(expected[1].skipped, "");
  run_thread_group(2, [&](Communicator& ranks) {
    Range own;
    Trainer trainer(
        options.optimizer, config,
        [&](int64_t step) { return spoiled(step).rows(own.begin, own.end); }, ranks);
    own = trainer.own_pictures();
    if (ranks.rank() != 0) return trainer.serve();
    const std::vector<StepMetrics> steps = steps_of(trainer, 4);
    expect_same_bits({.steps = steps}, {.steps = expected}, "spoiled");
  });
}

// The error is that of rank 0, and rank 1 goes on serving.
TEST(TrainerRanks, TellWhichRankHasNoPictures) {
  const TrainOptions options = options_with("adam");
  const ModelConfig config = options.model_config(4, 6, 1);
  run_thread_group(2, [&](Communicator& ranks) {
    Range own;
    Trainer trainer(
        options.optimizer, config,
        [&](int64_t step) {
          if (ranks.rank() == 1 && step == 1) fail("data", "the file is gone");
          return whole_batch(step).rows(own.begin, own.end);
        },
        ranks);
    own = trainer.own_pictures();
    if (ranks.rank() != 0) return trainer.serve();
    trainer.step();
    EXPECT_EQ(test::message_of([&] { trainer.step(); }),
              "rank 1 (host thread): [data] the file is gone");
    EXPECT_TRUE(trainer.has_finite_state());
  });
}

// Each rank's sum in another order, and rounded to 8 bits on the way.
TEST(TrainerRanks, AddFastInAnyOrder) {
  TrainOptions options = options_with("adam");
  options.optimizer.reduce = "fast";
  const ModelConfig config = options.model_config(4, 6, 1);
  const Result exact = train_alone(options, config);
  for (const int64_t micro_batch : {0, 4}) {
    options.optimizer.micro_batch = micro_batch;
    const Result fast = train_on_ranks(3, options, config);
    EXPECT_NEAR(fast.steps.back().loss, exact.steps.back().loss, 1e-5);
    EXPECT_NEAR(fast.steps.front().gradient_norm, exact.steps.front().gradient_norm, 1e-5);
  }
  options.optimizer.reduce_type = "bfloat16";
  const Result rounded = train_on_ranks(3, options, config);
  const double norm = exact.steps.front().gradient_norm;
  EXPECT_NEAR(rounded.steps.front().gradient_norm, norm, 4e-3 * norm);
  EXPECT_NE(rounded.steps.front().gradient_norm, norm);
}

TEST(TrainerRanks, NeedMicroBatchesToAddInOrder) {
  TrainOptions options = options_with("adam");
  options.optimizer.micro_batch = 0;
  const std::string error =
      test::message_of([&] { train_on_ranks(2, options, options.model_config(4, 6, 1)); });
  EXPECT_NE(error.find("micro_batch must not be 0"), std::string::npos) << error;
}

}  // namespace
}  // namespace ddpm
