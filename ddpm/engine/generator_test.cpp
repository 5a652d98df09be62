// Batches that are handed over as soon as they are finished: the same images, in memory that does
// not grow, and nothing lost by a cancellation.
#include "ddpm/engine/generator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ddpm/base/error.h"
#include "ddpm/diffusion/initial_noise.h"
#include "ddpm/engine/mixture_model.h"
#include "ddpm/nn/network.h"
#include "ddpm/tensor/allocator.h"

namespace ddpm {
namespace {

using ::testing::ElementsAre;

class Generator : public ::testing::Test {
 protected:
  // A mixture over pictures of side x side pixels.
  static ModelConfig mixture_of(int64_t side) {
    const int64_t size = side * side;
    GaussianMixture mixture{.size = size, .weights = {0.5, 0.5}, .stds = {0.1, 0.2}};
    for (int64_t i = 0; i < 2 * size; ++i)
      mixture.means.push_back(0.1 * static_cast<double>(i % 7) - 0.3);
    ModelConfig config{.height = side, .width = side, .process = {.timesteps = 50}};
    config.network = MixtureConfig{.mixture = std::make_shared<GaussianMixture>(mixture),
                                   .process = config.process,
                                   .height = side,
                                   .width = side};
    return config;
  }

  const ModelConfig config_ = mixture_of(4);
  const std::unique_ptr<Network> network_ = make_network(config_.network);
};

TEST_F(Generator, HandsOverTheSameImagesInBatches) {
  GenerateOptions options{.count = 7, .seed = 3, .batch = 3, .sampling = {.steps = 5}};
  const Tensor all = generate(*network_, config_, options);
  std::vector<int64_t> which;
  const int64_t finished = generate(*network_, config_, options, [&](const GeneratedBatch& batch) {
    const auto begin = static_cast<int64_t>(which.size());
    EXPECT_EQ(batch.images.values(),
              all.rows(begin, begin + batch.images.size(0)).clone().values());
    which.insert(which.end(), batch.which.begin(), batch.which.end());
  });
  EXPECT_EQ(finished, 7);
  EXPECT_THAT(which, ElementsAre(0, 1, 2, 3, 4, 5, 6));
}

TEST_F(Generator, DrawsSomeOfTheImages) {
  GenerateOptions options{.count = 6, .batch = 4, .sampling = {.steps = 4}};
  const Tensor all = generate(*network_, config_, options);
  options.only = {1, 4, 5};
  const Tensor some = generate(*network_, config_, options);
  ASSERT_EQ(some.size(0), 3);
  for (int64_t i = 0; i < 3; ++i) {
    const int64_t k = options.only[static_cast<size_t>(i)];
    EXPECT_EQ(some.rows(i, i + 1).clone().values(), all.rows(k, k + 1).clone().values());
  }
  for (const std::vector<int64_t>& wrong : {std::vector<int64_t>{6}, {-1}, {2, 2}, {3, 1}}) {
    options.only = wrong;
    EXPECT_THROW(generate(*network_, config_, options), UsageError);
  }
}

TEST_F(Generator, ACancellationKeepsWhatIsFinished) {
  GenerateOptions options{.count = 6, .batch = 2, .sampling = {.steps = 4}};
  const Tensor all = generate(*network_, config_, options);
  const auto cancelled_at = [&](int64_t begin, int64_t step) {
    options.progress = [=](const GenerateProgress& now) {
      return now.begin < begin || now.step < step;
    };
    return generate(*network_, config_, options);
  };
  const Tensor two = cancelled_at(2, 3);
  ASSERT_EQ(two.size(0), 2);
  EXPECT_EQ(two.clone().values(), all.rows(0, 2).clone().values());
  // After its last step a batch is finished.
  EXPECT_EQ(cancelled_at(2, 4).size(0), 4);
  EXPECT_EQ(cancelled_at(0, 1).size(0), 0);
  int64_t handed = 0;
  EXPECT_EQ(generate(*network_, config_, options, [&](const GeneratedBatch&) { ++handed; }), 0);
  EXPECT_EQ(handed, 0);
}

TEST_F(Generator, PreviewsShowTheEstimate) {
  GenerateOptions options{.count = 1, .sampling = {.steps = 3}};
  Tensor last;
  options.progress = [&](const GenerateProgress& now) {
    if (now.step == now.steps) last = now.x0->clone();
    return true;
  };
  const Tensor drawn = generate(*network_, config_, options);
  ASSERT_TRUE(last.defined());
  EXPECT_EQ(last.values(), drawn.values());
}

TEST_F(Generator, RecordedNoiseIsUsedInItsOrder) {
  GenerateOptions options{.count = 5, .batch = 2, .sampling = {.sampler = "ddpm", .steps = 50}};
  const Tensor all = generate(*network_, config_, options);
  // The draws of the seed, recorded: that of the start, then those of the steps, whose
  // streams count down to 1. The last adds no noise.
  const std::vector<uint64_t> seeds = generated_seeds(options, 0, 5);
  for (uint64_t draw = 0; draw < 50; ++draw) {
    const uint64_t stream = draw == 0 ? 0 : 51 - draw;
    options.noise.push_back(noise_of(seeds, stream, 0, {4, 4, 1}, Device::kCpu));
  }
  options.seed = 77;
  EXPECT_EQ(generate(*network_, config_, options).values(), all.values());
  options.noise.pop_back();
  EXPECT_THROW(generate(*network_, config_, options), UsageError);
  options.noise = {Tensor({4, 4, 4, 1})};
  EXPECT_THROW(generate(*network_, config_, options), UsageError);
}

TEST_F(Generator, MemoryDoesNotGrowWithTheNumberOfImages) {
  const ModelConfig config = mixture_of(64);
  const auto network = make_network(config.network);
  const auto peak = [&](int64_t count) {
    reset_allocator_peak();
    const int64_t before = allocator_stats().bytes_in_use;
    generate(*network, config, {.count = count, .batch = 4, .sampling = {.steps = 2}},
             [](const GeneratedBatch&) {});
    return allocator_stats().peak_bytes_in_use - before;
  };
  EXPECT_EQ(peak(64), peak(8));
}

}  // namespace
}  // namespace ddpm
