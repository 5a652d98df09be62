#include "ddpm/engine/memory_check.h"

#include <gtest/gtest.h>

#include <ctime>
#include <functional>
#include <limits>
#include <regex>
#include <thread>

#include "ddpm/base/error.h"
#include "ddpm/base/memory.h"
#include "ddpm/comm/thread_group.h"
#include "ddpm/engine/cost.h"
#include "ddpm/engine/train_options.h"
#include "ddpm/engine/trainer.h"
#include "ddpm/nn/tutorial/unet.h"
#include "ddpm/tensor/allocator.h"
#include "tests/support/errors.h"
#include "tests/support/threads.h"

namespace ddpm {
namespace {

using test::refusal;
using tutorial::UnetConfig;

const AvailableMemory kFourGigabytes{.bytes = 4'000'000'000, .limit = "a limit"};

// The tutorial's network.
ModelConfig default_config(int64_t side) { return TrainOptions().model_config(side, side, 3); }

OptimizerOptions training_of(int64_t batch, bool recompute = false) {
  OptimizerOptions options;
  options.batch = batch;
  options.recompute = recompute;
  return options;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

int64_t number_after(const std::string& text, const std::string& flag) {
  std::smatch match;
  return std::regex_search(text, match, std::regex(flag + " (\\d+)")) ? std::stoll(match[1]) : -1;
}

TEST(MemoryForTraining, WhatFitsIsNotRefused) {
  EXPECT_EQ(refusal([] {
              require_memory_for_training(default_config(8), training_of(1), 1000, kFourGigabytes);
            }),
            "");
}

TEST(MemoryForTraining, TheBatchThatIsNamedFits) {
  const ModelConfig config = default_config(32);
  const std::string message = refusal(
      [&] { require_memory_for_training(config, training_of(1 << 20), 0, kFourGigabytes); });
  const int64_t batch = number_after(message, "; --batch");
  ASSERT_GT(batch, 0) << message;
  EXPECT_EQ(
      refusal([&] { require_memory_for_training(config, training_of(batch), 0, kFourGigabytes); }),
      "");
  EXPECT_NE(refusal([&] {
              require_memory_for_training(config, training_of(batch + 1), 0, kFourGigabytes);
            }),
            "");
}

TEST(MemoryForTraining, CheckpointingIsNamedWhereItLetsMoreIn) {
  ModelConfig config = default_config(64);
  config.network = UnetConfig{.dim_mults = {1, 2}};
  const std::string message = refusal(
      [&] { require_memory_for_training(config, training_of(1 << 20), 0, kFourGigabytes); });
  EXPECT_TRUE(contains(message, "--recompute with --batch")) << message;
  EXPECT_FALSE(contains(refusal([&] {
                          require_memory_for_training(config, training_of(1 << 20, true), 0,
                                                      kFourGigabytes);
                        }),
                        "or --recompute"));
}

TEST(MemoryForTraining, MicroBatchesAreNamedWhereTheyFit) {
  const ModelConfig config = default_config(32);
  OptimizerOptions options = training_of(512);
  const std::string message =
      refusal([&] { require_memory_for_training(config, options, 0, kFourGigabytes); });
  EXPECT_TRUE(contains(message, "--micro-batch 4, or")) << message;
  options.micro_batch = 4;
  EXPECT_EQ(refusal([&] { require_memory_for_training(config, options, 0, kFourGigabytes); }), "");
}

// The estimate of many chunks is computed from two.
TEST(MemoryForTraining, ChunksTakeWhatIsEstimated) {
  const ModelConfig config = default_config(16);
  OptimizerOptions options = training_of(32);
  options.micro_batch = 4;
  reset_allocator_peak();
  const int64_t before = allocator_stats().bytes_in_use;
  {
    Trainer trainer(options, config, [](int64_t) { return Tensor::zeros({32, 16, 16, 3}); });
    trainer.step();
  }
  const auto taken = static_cast<double>(allocator_stats().peak_bytes_in_use - before);
  const auto estimated = static_cast<double>(training_bytes(config, options));
  EXPECT_GT(taken, 0.95 * estimated);
  EXPECT_LT(taken, 1.05 * estimated);
}

// Of the state of the optimizer, each rank has its part.
TEST(MemoryForTraining, RanksTakeWhatIsEstimated) {
  constexpr int kRanks = 3;
  ModelConfig config = default_config(16);
  config.network = UnetConfig{.dim = 32};
  RunMemoryOptions asked{.optimizer = training_of(24), .ranks = {.all = kRanks}};
  asked.optimizer.micro_batch = 4;
  asked.run.sample_every = asked.run.eval_every = 0;
  reset_allocator_peak();
  const int64_t before = allocator_stats().bytes_in_use;
  run_thread_group(kRanks, [&](Communicator& ranks) {
    Trainer trainer(
        asked.optimizer, config,
        [](int64_t) {
          return Tensor::zeros({8, 16, 16, 3});
        },
        ranks);
    if (ranks.rank() > 0) return trainer.serve();
    const auto averaged = trainer.averaged_network();
    trainer.step();
    trainer.refresh(*averaged);
  });
  const auto taken = static_cast<double>(allocator_stats().peak_bytes_in_use - before);
  // Only rank 0 has averages of all weights.
  const auto weights = 4.0 * static_cast<double>(make_network(config.network)->parameter_count());
  const double estimated =
      kRanks * static_cast<double>(run_memory(config, asked).tensors) - (kRanks - 1) * weights;
  // They do not reach their peaks at the same moment.
  EXPECT_GT(taken, 0.65 * estimated);
  EXPECT_LT(taken, 1.02 * estimated);
}

TEST(MemoryForTraining, TheRanksThatAreNamedFit) {
  const ModelConfig config = default_config(32);
  RunMemoryOptions asked{.optimizer = training_of(64), .ranks = {.all = 16, .on_host = 8}};
  asked.optimizer.micro_batch = 4;
  const auto refused = [&] {
    const AvailableMemory two_gigabytes{.bytes = 2'000'000'000, .limit = "a limit"};
    return refusal([&] { require_memory_for_run(config, asked, 0, two_gigabytes); });
  };
  const std::string message = refused();
  EXPECT_TRUE(contains(message, "with 8 ranks on this machine takes")) << message;
  const int64_t ranks = number_after(message, "GB;");
  ASSERT_GT(ranks, 0) << message;
  asked.ranks = {.all = 8 + ranks, .on_host = ranks};
  EXPECT_EQ(refused(), "");
  asked.ranks = {.all = 8 + ranks + 1, .on_host = ranks + 1};
  EXPECT_NE(refused(), "");
}

// Only where ulimit -v is the limit is there something to raise.
TEST(MemoryForTraining, ALargerUlimitIsNamedWhereItIsTheLimit) {
  const RunMemoryOptions asked{.optimizer = training_of(1), .bytes_to_come = 3'900'000'000};
  const ModelConfig config = default_config(32);
  const auto why = [&](const AvailableMemory& available) {
    return refusal([&] { require_memory_for_run(config, asked, 0, available); });
  };
  EXPECT_EQ(number_after(why(kFourGigabytes), "ulimit -v"), -1);
  EXPECT_TRUE(contains(why(kFourGigabytes), "a smaller network")) << why(kFourGigabytes);
  // Enough for the tensors, and not for the threads and libraries besides.
  const int64_t tensors = run_memory(config, asked).total();
  const AvailableMemory address_space{.bytes = tensors + 1, .limit = kAddressSpaceLimit};
  EXPECT_GT(number_after(why(address_space), "; ulimit -v"), 0) << why(address_space);
}

TEST(MemoryForTraining, ASmallerSizeIsNamedWhereNoBatchFits) {
  const std::string message = refusal([] {
    require_memory_for_training(default_config(16384), training_of(32), 0, kFourGigabytes);
  });
  const int64_t size = number_after(message, "--size");
  ASSERT_GT(size, 0) << message;
  EXPECT_EQ(size % 8, 0);
  EXPECT_EQ(refusal([&] {
              require_memory_for_training(default_config(size), training_of(1), 0, kFourGigabytes);
            }),
            "");
}

TEST(MemoryForTraining, PicturesCount) {
  const std::string message = refusal(
      [] { require_memory_for_training(default_config(8), training_of(1), int64_t{1} << 60); });
  EXPECT_TRUE(contains(message, "of pictures")) << message;
}

// By which sanitizers multiply processor time, at most.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int kSlowdown = 20;
#else
constexpr int kSlowdown = 1;
#endif

// Neither the sizes nor their product overflow. The limit is for processor time and not for elapsed
// time, so that the test does not fail because other programs use the machine.
TEST(MemoryForTraining, TheLargestNumbersAreRefusedAtOnce) {
  const std::clock_t begin = std::clock();
  ModelConfig config = default_config(16384);
  config.network = UnetConfig{.dim = 1 << 20, .dim_mults = std::vector<int64_t>(10, 1)};
  config.process.timesteps = 1'000'000;
  const std::string message =
      refusal([&] { require_memory_for_training(config, training_of(1 << 20), int64_t{1} << 62); });
  EXPECT_TRUE(contains(message, "more memory than any machine has")) << message;
  EXPECT_LT(std::clock() - begin, 2 * kSlowdown * CLOCKS_PER_SEC);
}

TEST(MemoryForSampling, TheNumberThatIsNamedFits) {
  const ModelConfig config = default_config(256);
  const auto message = [&](int64_t count) {
    return refusal(
        [&] { require_memory_for_sampling(config, {.count = count, .batch = 1}, kFourGigabytes); });
  };
  const int64_t count = number_after(message(1'000'000), "; --n");
  ASSERT_GT(count, 0) << message(1'000'000);
  EXPECT_EQ(message(count), "");
  EXPECT_NE(message(count + 1), "");
}

// With classes or inputs, --n counts the pictures of each.
TEST(MemoryForSampling, TheNumberThatIsNamedIsThatOfEachClass) {
  const ModelConfig config = default_config(256);
  const auto message = [&](int64_t n) {
    return refusal([&] {
      require_memory_for_sampling(config, {.count = 10 * n, .batch = 1, .images_per_n = 10},
                                  kFourGigabytes);
    });
  };
  const int64_t n = number_after(message(100'000), "; --n");
  ASSERT_GT(n, 0) << message(100'000);
  EXPECT_EQ(message(n), "");
  EXPECT_NE(message(n + 1), "");
}

TEST(MemoryForSampling, WhatFitsIsNotRefused) {
  EXPECT_EQ(refusal([] {
              require_memory_for_sampling(default_config(32), {.count = 16}, kFourGigabytes);
            }),
            "");
}

// Where both halves of a guided batch do not fit together, they are asked for in turn.
TEST(MemoryForSampling, GuidanceNeedsTwiceTheBatchOnlyWhereThereIsRoom) {
  ModelConfig config = default_config(64);
  config.network.classes() = 10;
  // Otherwise the network takes a large batch in parts, and twice the batch is little more.
  const SamplingMemory guided{.count = 16, .batch = 16, .prepare_weights = false, .guided = true};
  EXPECT_TRUE(guidance_fits_in_one_pass(config, guided, kFourGigabytes));
  AvailableMemory less = kFourGigabytes;
  const auto fits_at_all = [&] {
    return refusal([&] { require_memory_for_sampling(config, guided, less); }).empty();
  };
  while (guidance_fits_in_one_pass(config, guided, less)) less.bytes -= less.bytes / 512;
  EXPECT_TRUE(fits_at_all());
  while (fits_at_all()) less.bytes -= less.bytes / 512;
  SamplingMemory plain = guided;
  plain.guided = false;
  EXPECT_EQ(refusal([&] { require_memory_for_sampling(config, plain, less); }), "");
}

TEST(MemoryOfThisMachine, IsWhatCounts) {
  EXPECT_GT(available_to_tensors().bytes, 0);
  EXPECT_NE(
      refusal([] { require_memory_for_training(default_config(16384), training_of(1 << 20), 0); }),
      "");
}

TEST(MemoryForSampling, WhatTheCallerKeepsCounts) {
  EXPECT_NE(refusal([] {
              require_memory_for_sampling(default_config(32),
                                          {.count = 1, .other_bytes = int64_t{1} << 60},
                                          kFourGigabytes);
            }),
            "");
}

TEST(MemoryForForward, TooManyPicturesAreRefused) {
  EXPECT_EQ(refusal([] { require_memory_for_forward(default_config(32), 2, kFourGigabytes); }), "");
  const std::string message =
      refusal([] { require_memory_for_forward(default_config(32), 1 << 20, kFourGigabytes); });
  EXPECT_TRUE(contains(message, "at a time would fit")) << message;
}

// An estimate takes no memory and does not change what a training on another thread measures.
TEST(Estimates, AreSafeBesideATraining) {
  TrainOptions options;
  options.network = UnetConfig{.dim = 8, .dim_mults = {1, 2}};
  const ModelConfig config = options.model_config(8, 8, 1);
  const Cost alone = estimate_cost(config, 4);
  const auto losses = [&] {
    Trainer trainer(options.optimizer, config, [](int64_t) {
      return Tensor::full({4, 8, 8, 1}, 0.5f);
    });
    std::vector<double> all;
    for (int step = 0; step < 5; ++step) all.push_back(trainer.step().loss);
    return all;
  };
  const std::vector<double> expected = losses();
  std::vector<double> beside;
  std::thread training([&] { beside = losses(); });
  for (int i = 0; i < 20; ++i) {
    const Cost cost = estimate_cost(config, 4);
    EXPECT_EQ(cost.training_bytes, alone.training_bytes);
    EXPECT_EQ(cost.sampling_bytes, alone.sampling_bytes);
    EXPECT_EQ(cost.forward_flops, alone.forward_flops);
  }
  training.join();
  EXPECT_EQ(beside, expected);
}

// An estimate does not give memory of the heap back to the system and resets none of its counters.
// Otherwise a training on another thread would have to take memory from the system again, or would
// seem to need less.
TEST(Estimates, LeaveTheHeapOfATrainingAlone) {
  const test::ThreadsScope scope(1);
  TrainOptions options;
  options.network = UnetConfig{.dim = 8, .dim_mults = {1, 2}};
  const ModelConfig config = options.model_config(8, 8, 1);
  Trainer trainer(options.optimizer, config, [](int64_t) {
    return Tensor::full({4, 8, 8, 1}, 0.5f);
  });
  const auto train = [&] {
    for (int step = 0; step < 20; ++step) trainer.step();
  };
  const Cost alone = estimate_cost(config, 4);
  reset_allocator_peak();
  std::thread(train).join();
  const AllocatorStats before = allocator_stats();

  std::thread training(train);
  Cost beside;
  for (int i = 0; i < 20; ++i) beside = estimate_cost(config, 4);
  training.join();
  const AllocatorStats after = allocator_stats();
  EXPECT_EQ(beside.training_bytes, alone.training_bytes);
  EXPECT_EQ(beside.sampling_bytes, alone.sampling_bytes);
  EXPECT_EQ(beside.recompute_bytes, alone.recompute_bytes);
  EXPECT_EQ(beside.forward_flops, alone.forward_flops);
  EXPECT_EQ(after.system_allocations, before.system_allocations);
  EXPECT_EQ(after.bytes_in_use, before.bytes_in_use);
  EXPECT_EQ(after.peak_bytes_in_use, before.peak_bytes_in_use);
  EXPECT_EQ(after.bytes_reserved, before.bytes_reserved);
}

TEST(Estimates, TakeNoMemory) {
  const AllocatorStats before = allocator_stats();
  const Cost cost = estimate_cost(default_config(256), 64);
  EXPECT_GT(cost.training_bytes, int64_t{1} << 33);
  EXPECT_EQ(allocator_stats().system_allocations, before.system_allocations);
  EXPECT_EQ(allocator_stats().peak_bytes_in_use, before.peak_bytes_in_use);
}

}  // namespace
}  // namespace ddpm
