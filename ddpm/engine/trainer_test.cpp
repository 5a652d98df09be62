#include "ddpm/engine/trainer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "ddpm/base/error.h"
#include "ddpm/base/philox.h"
#include "ddpm/base/threads.h"
#include "ddpm/data/augment.h"
#include "ddpm/engine/generator.h"
#include "ddpm/engine/streams.h"
#include "ddpm/engine/trainer_test_support.h"
#include "ddpm/engine/weights.h"
#include "ddpm/optim/adam.h"
#include "ddpm/tensor/allocator.h"
#include "tests/support/errors.h"
#include "tests/support/gradients.h"
#include "tests/support/threads.h"

namespace ddpm {
namespace {

using test::config_with_classes;
using test::labelled_pictures;
using test::pictures;
using test::small_options;
using test::small_trainer;
using test::unet_of;

TEST(Trainer, TheLossFalls) {
  Trainer trainer = small_trainer();
  double first = 0, last = 0;
  for (int i = 0; i < 120; ++i) {
    const StepMetrics metrics = trainer.step();
    EXPECT_EQ(metrics.step, i + 1);
    EXPECT_GT(metrics.gradient_norm, 0);
    (i < 20 ? first : last) += i < 20 || i >= 100 ? metrics.loss / 20 : 0;
  }
  EXPECT_LT(last, 0.6 * first);
  EXPECT_DOUBLE_EQ(trainer.step().learning_rate, 2e-3);
}

struct FewSteps {
  StepMetrics first;
  std::vector<float> weights;
};

// A few steps of a network that learns its variance, in batches of ten.
FewSteps few_steps(int64_t micro_batch) {
  TrainOptions options = small_options();
  options.optimizer.batch = 10;
  options.optimizer.micro_batch = micro_batch;
  options.process.learned_variance = true;
  const auto ten = [](int64_t step) {
    Tensor images({10, 4, 6, 1});
    for (int64_t i = 0; i < images.elements(); ++i)
      images.f32()[i] = std::sin(static_cast<float>(i + 7 * step));
    return images;
  };
  Trainer trainer(options.optimizer, options.model_config(4, 6, 1), ten);
  FewSteps done;
  for (int i = 0; i < 4; ++i) {
    const StepMetrics metrics = trainer.step();
    if (i == 0) done.first = metrics;
  }
  for (const Tensor& weight : parameter_tensors(trainer.network())) {
    const std::vector<float> values = weight.values();
    done.weights.insert(done.weights.end(), values.begin(), values.end());
  }
  return done;
}

TEST(Trainer, TheBitsDoNotDependOnTheMicroBatch) {
  const FewSteps ten = few_steps(10);
  EXPECT_EQ(few_steps(8).weights, ten.weights);
  EXPECT_EQ(few_steps(4).weights, ten.weights);
  // Other chunks, and no chunks, differ by rounding alone.
  for (const int64_t other : {3, 0}) {
    const FewSteps done = few_steps(other);
    EXPECT_NE(done.weights, ten.weights);
    EXPECT_NEAR(done.first.loss, ten.first.loss, 1e-6 * ten.first.loss);
    EXPECT_NEAR(done.first.gradient_norm, ten.first.gradient_norm, 1e-5 * ten.first.gradient_norm);
  }
}

TEST(Trainer, TheLearningRateWarmsUp) {
  Trainer trainer = small_trainer();
  EXPECT_DOUBLE_EQ(trainer.step().learning_rate, 2e-3 / 5);
  EXPECT_DOUBLE_EQ(trainer.step().learning_rate, 2 * 2e-3 / 5);
}

TEST(Trainer, EqualSeedsGiveEqualBitsWhateverTheThreads) {
  const test::ThreadsScope scope;
  std::vector<float> weights[3];
  double losses[3];
  for (int run = 0; run < 3; ++run) {
    set_num_threads(run == 1 ? 1 : 2);
    TrainOptions options = small_options();
    if (run == 2) options.optimizer.seed = 12;
    Trainer trainer = small_trainer(options);
    for (int i = 0; i < 3; ++i) losses[run] = trainer.step().loss;
    weights[run] = parameter_tensors(trainer.network())[0].values();
  }
  EXPECT_EQ(weights[0], weights[1]);
  EXPECT_EQ(losses[0], losses[1]);
  EXPECT_NE(weights[0], weights[2]);
}

// Uses one thread. With several threads, a thread may get its first task in a later step, and takes
// its buffers from the system only then.
TEST(Trainer, NoStepAsksTheSystemForMemoryAfterTheFirst) {
  const test::ThreadsScope scope(1);
  Trainer trainer = small_trainer();
  trainer.step();
  const int64_t before = allocator_stats().system_allocations;
  for (int i = 0; i < 5; ++i) trainer.step();
  EXPECT_EQ(allocator_stats().system_allocations, before);
}

TEST(Trainer, AdvisesWhatTheNetworkHas) {
  EXPECT_EQ(small_trainer().advice(),
            "a lower --lr, a --clip-norm of 1 or a --weight-standardization-eps of 1e-5 usually "
            "helps");
}

// The network learns from the augmented pictures, and from what it is told of them.
TEST(Trainer, AugmentedPicturesAreToldToTheNetwork) {
  TrainOptions options = small_options();
  options.optimizer.augment = 0.5;
  Trainer trainer = small_trainer(options);
  EXPECT_EQ(trainer.config().network.augment_channels(), kAugmentChannels);
  const auto layer = [&] {
    for (const NamedParameter& named : trainer.network().parameters()) {
      if (named.path == "time_mlp.map_augment.weight") return named.parameter->variable.value();
    }
    return Tensor();
  };
  ASSERT_EQ(layer().shape(), Shape({kAugmentChannels, 8}));
  const std::vector<float> before = layer().values();
  for (int i = 0; i < 8; ++i) trainer.step();
  const std::vector<float> after = layer().values();
  for (size_t i = 0; i < before.size(); ++i) EXPECT_NE(after[i], before[i]) << i;
  // Sampling tells it nothing.
  EXPECT_EQ(generate(trainer.network(), trainer.config(), {.count = 2}).shape(),
            Shape({2, 4, 6, 1}));
}

TEST(Trainer, AugmentationAndNetworkMustFit) {
  TrainOptions options = small_options();
  options.optimizer.augment = 0.1;
  ModelConfig config = options.model_config(4, 6, 1);
  for (const int64_t channels : {0, 5}) {
    config.network.augment_channels() = channels;
    EXPECT_THROW(Trainer(options.optimizer, config, pictures), UsageError);
  }
  // A network that is told, but whose pictures are not augmented.
  config.network.augment_channels() = kAugmentChannels;
  options.optimizer.augment = 0;
  EXPECT_EQ(Trainer(options.optimizer, config, pictures).step().step, 1);
}

// The first step of a training with self-conditioning, done by hand: its loss and the norm of its
// gradient, with the network's own estimate beside the noised pictures or without it.
struct FirstStep {
  double loss = 0, gradient_norm = 0;
};
FirstStep first_step_by_hand(const TrainOptions& options, bool estimates) {
  const ModelConfig config = options.model_config(4, 6, 1);
  const auto seed = [&](Stream stream) { return seed_of(options.optimizer.seed, stream); };
  const auto network = make_network(config.network);
  network->initialize(seed(Stream::kInitialWeights));
  const NoisedBatch batch = noised_batch(
      Process(config.process), {.levels = seed(Stream::kLevels), .noise = seed(Stream::kNoise)}, 0,
      pictures(0));
  NetworkInput input{.x = Variable(batch.input), .t = batch.t};
  if (estimates) input.estimate = Variable(estimate_of(batch, (*network)(input).value()));
  std::vector<Variable> weights;
  for (const NamedParameter& named : network->parameters())
    weights.push_back(named.parameter->variable);
  const Adam adam(weights, {});
  Tape tape;
  Loss loss;
  {
    const Tape::Recording recording(tape);
    loss = mean_loss(loss_kind(options.optimizer.loss), (*network)(input), batch.target,
                     batch.weights);
  }
  loss.backward(tape);
  return {.loss = loss.value, .gradient_norm = adam.gradient_norm()};
}

TEST(Trainer, TheEstimateReachesTheNetworkWhereTheCoinSaysSo) {
  for (const std::string objective : {"eps", "edm"}) {
    bool seen[2] = {false, false};
    for (uint64_t seed = 0; !seen[0] || !seen[1]; ++seed) {
      ASSERT_LT(seed, 20u);
      TrainOptions options = small_options();
      options.process.objective = objective;
      unet_of(options).self_condition = true;
      options.optimizer.seed = seed;
      const bool estimates = Philox(seed_of(seed, Stream::kSelfConditioning)).uniform(0) < 0.5f;
      seen[estimates ? 1 : 0] = true;
      const StepMetrics got = small_trainer(options).step();
      const FirstStep wanted = first_step_by_hand(options, estimates);
      EXPECT_EQ(got.loss, wanted.loss) << objective << " " << seed;
      EXPECT_EQ(got.gradient_norm, wanted.gradient_norm) << objective << " " << seed;
      EXPECT_NE(got.loss, first_step_by_hand(options, !estimates).loss) << objective << " " << seed;
    }
  }
}

TEST(Trainer, PicturesThatDoNotFitAreRefused) {
  const TrainOptions options = small_options();
  EXPECT_THROW(Trainer(options.optimizer, options.model_config(5, 6, 1), pictures), UsageError);
}

TEST(Trainer, LearnsClassesWhereTheNetworkIsToldThem) {
  TrainOptions options = small_options();
  Trainer trainer(options.optimizer, config_with_classes(options), labelled_pictures);
  const auto rows = [&] {
    for (const NamedParameter& named : trainer.network().parameters()) {
      if (named.path == "class_embedding.weight") return named.parameter->variable.value().clone();
    }
    return Tensor();
  };
  const Tensor before = rows();
  ASSERT_EQ(before.shape(), (Shape{3, 32}));
  trainer.step();
  const Tensor after = rows();
  for (int64_t row = 0; row < 3; ++row)
    EXPECT_NE(after.rows(row, row + 1).values(), before.rows(row, row + 1).values()) << row;
  Trainer without(options.optimizer, config_with_classes(options), pictures);
  EXPECT_THROW(without.step(), Error);
}

// Where all labels are kept back only the row of no class is learnt; where none is, all but it.
TEST(Trainer, LabelsAreKeptBackAsOftenAsIsAsked) {
  for (const double dropout : {0.0, 1.0, 0.4}) {
    TrainOptions options = small_options();
    options.optimizer.label_dropout = dropout;
    const auto classes = [&](int64_t step) {
      Batch batch = pictures(step);
      batch.labels = Tensor::of({4}, {0, 1, 1, 0});
      return batch;
    };
    Trainer trainer(options.optimizer, config_with_classes(options), classes);
    const Tensor& rows = [&]() -> const Tensor& {
      for (const NamedParameter& named : trainer.network().parameters())
        if (named.path == "class_embedding.weight") return named.parameter->variable.value();
      throw Error("no embedding");
    }();
    const std::vector<float> none = rows.rows(2, 3).values(), classed = rows.rows(0, 2).values();
    for (int64_t step = 0; step < (dropout == 0.4 ? 3 : 1); ++step) trainer.step();
    EXPECT_EQ(rows.rows(2, 3).values() == none, dropout == 0.0) << dropout;
    EXPECT_EQ(rows.rows(0, 2).values() == classed, dropout == 1.0) << dropout;
  }
}

TEST(TrainOptions, ImpossibleValuesAreUsageErrors) {
  EXPECT_NO_THROW(small_options().check());
  const std::function<void(TrainOptions&)> mistakes[] = {
      [](TrainOptions& o) { o.optimizer.steps = 0; },
      [](TrainOptions& o) { o.optimizer.batch = 0; },
      [](TrainOptions& o) { o.optimizer.lr = 0; },
      [](TrainOptions& o) { o.optimizer.lr = NAN; },
      [](TrainOptions& o) { o.process.schedule = "no"; },
      [](TrainOptions& o) { o.optimizer.loss = "no"; },
      [](TrainOptions& o) { unet_of(o).groups = 3; },
      [](TrainOptions& o) { unet_of(o).dim = 7; },
      [](TrainOptions& o) { o.optimizer.ema_decay = 1; },
      [](TrainOptions& o) { o.optimizer.label_dropout = 1.5; },
      [](TrainOptions& o) { o.optimizer.clip_norm = -1; },
      [](TrainOptions& o) { o.run.sample_steps = 1001; },
      [](TrainOptions& o) { o.run.threads = -1; },
      [](TrainOptions& o) { o.run.save_every = 0; },
      [](TrainOptions& o) { unet_of(o).dim_mults = {0}; },
      [](TrainOptions& o) { o.process.timesteps = 0; }};
  for (size_t i = 0; i < std::size(mistakes); ++i) {
    TrainOptions options = small_options();
    mistakes[i](options);
    EXPECT_THROW(options.check(), UsageError) << i;
  }
}

TEST(Trainer, CheckpointingKeepsTheBitsAndTakesLessMemory) {
  const auto train = [](bool recompute, double dropout) {
    TrainOptions options = small_options();
    unet_of(options).dropout = dropout;
    options.optimizer.recompute = recompute;
    Trainer trainer(options.optimizer, options.model_config(16, 24, 1), [](int64_t step) {
      return test::random_tensor({4, 16, 24, 1}, step);
    });
    reset_allocator_peak();
    const int64_t before = allocator_stats().bytes_in_use;
    for (int i = 0; i < 3; ++i) trainer.step();
    std::vector<float> weights;
    for (const NamedParameter& named : trainer.network().parameters()) {
      for (float value : named.parameter->variable.value().values()) weights.push_back(value);
    }
    return std::pair(weights, allocator_stats().peak_bytes_in_use - before);
  };
  for (const double dropout : {0.0, 0.1}) {
    const auto [plain, much] = train(false, dropout);
    const auto [checkpointed, less] = train(true, dropout);
    EXPECT_EQ(checkpointed, plain) << dropout;
    EXPECT_LT(less, much) << dropout;
  }
}

}  // namespace
}  // namespace ddpm
