#include "ddpm/engine/trainer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <set>

#include "ddpm/base/error.h"
#include "ddpm/base/philox.h"
#include "ddpm/base/threads.h"
#include "ddpm/data/augment.h"
#include "ddpm/diffusion/initial_noise.h"
#include "ddpm/engine/cost.h"
#include "ddpm/engine/generator.h"
#include "ddpm/engine/streams.h"
#include "ddpm/engine/weights.h"
#include "ddpm/nn/tutorial/unet.h"
#include "ddpm/optim/adam.h"
#include "ddpm/tensor/allocator.h"
#include "tests/support/errors.h"
#include "tests/support/gradients.h"
#include "tests/support/threads.h"

namespace ddpm {
namespace {

using tutorial::UnetConfig;

UnetConfig& unet_of(TrainOptions& options) { return *options.network.get<UnetConfig>(); }

TrainOptions small_options() {
  TrainOptions options;
  options.data.source = "memory";
  unet_of(options).dim = 8;
  unet_of(options).dim_mults = {1, 2};
  options.optimizer.batch = 4;
  options.optimizer.seed = 11;
  options.optimizer.lr = 2e-3;
  options.optimizer.lr_warmup = 5;
  return options;
}

// Four pictures. Each has a bright and a dark half.
Tensor pictures(int64_t) {
  Tensor images = Tensor::full({4, 4, 6, 1}, -0.8f);
  for (int64_t n = 0; n < 4; ++n) {
    for (int64_t i = 0; i < 12; ++i) images.f32()[n * 24 + (n % 2) * 12 + i] = 0.8f;
  }
  return images;
}

Trainer small_trainer(const TrainOptions& options = small_options()) {
  return Trainer(options.optimizer, options.model_config(4, 6, 1), pictures);
}

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

// Two classes and a picture of none.
ModelConfig config_with_classes(const TrainOptions& options) {
  ModelConfig config = options.model_config(4, 6, 1);
  config.network.classes() = 2;
  config.class_names = {"left", "right"};
  return config;
}

Batch labelled_pictures(int64_t step) {
  Batch batch = pictures(step);
  batch.labels = Tensor::of({4}, {0, 1, 0, -1});
  return batch;
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

TEST(Generate, AnImageIsTheSameWhateverStandsBesideIt) {
  Trainer trainer = small_trainer();
  trainer.step();
  const auto draw = [&](GenerateOptions options) {
    options.sampling.steps = 4;
    options.seed = 3;
    return generate(trainer.network(), trainer.config(), options);
  };
  const Tensor all = draw({.count = 5, .batch = 5});
  EXPECT_EQ(draw({.count = 5, .batch = 2}).values(), all.values());
  EXPECT_EQ(draw({.count = 1, .first = 3}).values(), all.rows(3, 4).values());
  EXPECT_NE(all.rows(0, 1).values(), all.rows(1, 2).values());
}

// Image j of a class begins with the noise of image j of the seed, whatever the class.
TEST(Generate, ImagesOfAllClassesBeginWithTheSameNoise) {
  using Seeds = std::vector<uint64_t>;
  const Seeds plain = generated_seeds({.count = 3, .seed = 5, .first = 2}, 0, 3);
  const GenerateOptions classed{.count = 3, .seed = 5, .first = 2, .labels = {1, 0}};
  const Seeds both = generated_seeds(classed, 0, 6);
  ASSERT_EQ(both.size(), 6u);
  EXPECT_EQ(Seeds(both.begin(), both.begin() + 3), plain);
  EXPECT_EQ(Seeds(both.begin() + 3, both.end()), plain);
  EXPECT_EQ(std::set<uint64_t>(plain.begin(), plain.end()).size(), 3u);
  // Batches and calls that begin elsewhere are parts of the same list.
  EXPECT_EQ(generated_seeds(classed, 2, 3), Seeds(both.begin() + 2, both.begin() + 5));
  EXPECT_EQ(generated_seeds({.count = 1, .seed = 5, .first = 4}, 0, 1), Seeds{plain[2]});
  EXPECT_EQ(plain, image_seeds(5, 2, 3));
  EXPECT_NE(generated_seeds({.count = 3, .seed = 6, .first = 2}, 0, 3), plain);
}

class GenerateClasses : public ::testing::Test {
 protected:
  GenerateClasses() {
    for (int i = 0; i < 3; ++i) trainer_.step();
  }
  Tensor draw(GenerateOptions options) {
    options.sampling.steps = 4;
    options.seed = 3;
    return generate(trainer_.network(), trainer_.config(), options);
  }

  TrainOptions options_ = small_options();
  Trainer trainer_{options_.optimizer, config_with_classes(options_), labelled_pictures};
};

TEST_F(GenerateClasses, AnImageDependsOnItsClassAndItsPlaceInIt) {
  const Tensor both = draw({.count = 3, .labels = {1, 0}, .batch = 4});
  ASSERT_EQ(both.shape(), (Shape{6, 4, 6, 1}));
  EXPECT_EQ(draw({.count = 3, .labels = {1}}).values(), both.rows(0, 3).values());
  EXPECT_EQ(draw({.count = 2, .labels = {0}, .batch = 1}).values(), both.rows(3, 5).values());
  EXPECT_EQ(draw({.count = 1, .first = 2, .labels = {0}}).values(), both.rows(5, 6).values());
  EXPECT_NE(both.rows(0, 1).values(), both.rows(3, 4).values());
}

TEST_F(GenerateClasses, AllClassesTakeTurnsWhereNoneIsNamed) {
  const Tensor turns = draw({.count = 4});
  const Tensor each = draw({.count = 4, .labels = {0, 1}});
  for (int64_t k = 0; k < 4; ++k) {
    const int64_t row = k % 2 * 4 + k;
    EXPECT_EQ(turns.rows(k, k + 1).values(), each.rows(row, row + 1).values()) << k;
  }
  EXPECT_EQ(draw({.count = 1, .first = 3}).values(), turns.rows(3, 4).values());
}

TEST_F(GenerateClasses, GuidanceOf1IsNoneAndOf0IsWithoutClasses) {
  const Tensor plain = draw({.count = 2, .labels = {0}});
  EXPECT_EQ(draw({.count = 2, .labels = {0}, .guidance = 1}).values(), plain.values());
  EXPECT_EQ(draw({.count = 2, .labels = {0}, .guidance = 1, .guidance_rescale = 0.7}).values(),
            plain.values());
  const Tensor none = draw({.count = 2, .labels = {-1}});
  EXPECT_EQ(draw({.count = 2, .labels = {0}, .guidance = 0}).values(), none.values());
  EXPECT_NE(none.values(), plain.values());
  const Tensor guided = draw({.count = 2, .labels = {0}, .guidance = 3});
  EXPECT_NE(guided.values(), plain.values());
  EXPECT_NE(draw({.count = 2, .labels = {0}, .guidance = 3, .guidance_rescale = 1}).values(),
            guided.values());
}

TEST_F(GenerateClasses, GuidedImagesAreTheSameInEveryBatch) {
  const Tensor all = draw({.count = 3, .labels = {1, 0}, .guidance = 2.5, .batch = 6});
  for (const int64_t batch : {1, 2, 4})
    EXPECT_EQ(draw({.count = 3, .labels = {1, 0}, .guidance = 2.5, .batch = batch}).values(),
              all.values());
}

TEST_F(GenerateClasses, WhatTheModelDoesNotKnowIsRefused) {
  EXPECT_THROW(draw({.labels = {2}}), UsageError);
  EXPECT_THROW(draw({.labels = {-2}}), UsageError);
  EXPECT_THROW(draw({.guidance = -1}), UsageError);
  EXPECT_THROW(draw({.guidance_rescale = 1.5}), UsageError);
  Trainer without = small_trainer();
  EXPECT_THROW(generate(without.network(), without.config(), {.labels = {0}}), UsageError);
  EXPECT_THROW(generate(without.network(), without.config(), {.guidance = 2}), UsageError);
}

TEST(Generate, RequestsThatCannotWorkAreRefused) {
  Trainer trainer = small_trainer();
  ModelConfig unknown = trainer.config();
  unknown.height = unknown.width = 0;
  EXPECT_THROW(generate(trainer.network(), unknown, {}), UsageError);
  EXPECT_THROW(generate(trainer.network(), trainer.config(), {.count = 0}), UsageError);
  EXPECT_THROW(generate(trainer.network(), trainer.config(), {.sampling = {.steps = 5000}}),
               UsageError);
  EXPECT_THROW(generate(trainer.network(), trainer.config(), {.height = 5, .width = 6}),
               UsageError);
}

TEST(Cost, MemoryToldIsMemoryTaken) {
  const TrainOptions options = small_options();
  ModelConfig config = options.model_config(16, 24, 1);
  const Cost cost = estimate_cost(config, 4);
  const int64_t before = allocator_stats().bytes_in_use;
  reset_allocator_peak();
  {
    Trainer trainer(options.optimizer, config, [](int64_t) {
      return test::random_tensor({4, 16, 24, 1}, 1);
    });
    trainer.step();
  }
  const double taken = static_cast<double>(allocator_stats().peak_bytes_in_use - before);
  // The measured memory also contains the kernels' buffers, which the cost does not.
  EXPECT_GT(taken, 0.95 * static_cast<double>(cost.training_bytes));
  EXPECT_LT(taken, 1.5 * static_cast<double>(cost.training_bytes));
  EXPECT_LT(cost.sampling_bytes, cost.training_bytes);
}

TEST(Cost, GuidanceTakesTheMemoryOfTwiceTheBatch) {
  const TrainOptions options = small_options();
  ModelConfig config = options.model_config(16, 24, 1);
  EXPECT_EQ(estimate_cost(config, 4).guided_bytes, 0);
  config.network.classes() = 3;
  const Cost cost = estimate_cost(config, 4);
  EXPECT_EQ(cost.guided_bytes, estimate_cost(config, 8).sampling_bytes);
  EXPECT_GT(cost.parameters, estimate_cost(options.model_config(16, 24, 1), 4).parameters);
}

TEST(Cost, SamplingCountsWhatIsPreparedOfTheWeights) {
  TrainOptions options = small_options();
  // Wide enough for Winograd.
  unet_of(options).dim = 64;
  const ModelConfig config = options.model_config(16, 16, 1);
  const Cost cost = estimate_cost(config, 2);
  Trainer trainer(options.optimizer, config, nullptr);
  const int64_t before = allocator_stats().bytes_in_use;
  reset_allocator_peak();
  generate(trainer.network(), config, {.count = 2, .batch = 2, .sampling = {.steps = 2}});
  const double taken = static_cast<double>(allocator_stats().peak_bytes_in_use - before) +
                       4.0 * static_cast<double>(cost.parameters);
  EXPECT_GT(taken, 0.95 * static_cast<double>(cost.sampling_bytes));
  EXPECT_LT(taken, 1.3 * static_cast<double>(cost.sampling_bytes));
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

TEST(Cost, FlopsAreThoseOfTheConvolutionsAndAttentions) {
  // One level, 4x4 images: all multiplications are counted by hand.
  ModelConfig config{.network = UnetConfig{.dim = 8, .dim_mults = {1}, .groups = 2}};
  config.height = config.width = 4;
  const double n = 16, c = 8, hidden = 128, head = 32, time = 32;
  const double linears = 8 * time + time * time;
  const auto resnet = [&](double in) {
    return time * 2 * c + n * 9 * (in * c + c * c) + (in == c ? 0 : n * in * c);
  };
  const double linear_attention = n * c * 3 * hidden + 2 * n * hidden * head + n * hidden * c;
  const double attention = n * c * 3 * hidden + 2 * n * n * hidden + n * hidden * c;
  const double convolutions = 2 * n * 9 * c * c, ends = n * 3 * c * 2;
  const double expected = linears + ends + 4 * resnet(c) + 3 * resnet(2 * c) +
                          2 * linear_attention + attention + convolutions;
  EXPECT_DOUBLE_EQ(estimate_cost(config, 1).forward_flops, 2 * expected);
}

}  // namespace
}  // namespace ddpm
