#include "ddpm/nn/augment_embedding.h"

#include <gtest/gtest.h>

#include "ddpm/autograd/functions.h"
#include "ddpm/base/error.h"
#include "ddpm/nn/lucidrains/options.h"
#include "ddpm/nn/network.h"
#include "ddpm/nn/tutorial/options.h"
#include "tests/support/compare.h"
#include "tests/support/gradients.h"

namespace ddpm {
namespace {

constexpr int64_t kChannels = 9;
constexpr const char* kPath = "time_mlp.map_augment.weight";

// A small network of each kind of time embedding.
std::vector<NetworkConfig> small_networks(int64_t channels = kChannels) {
  lucidrains::UnetConfig other{
      .dim = 8, .dim_mults = {1, 2}, .channels = 1, .heads = {2}, .dim_head = {4}};
  other.augment_channels = channels;
  lucidrains::UnetConfig fourier = other;
  fourier.learned_sinusoidal_cond = true;
  tutorial::UnetConfig tutorial{.dim = 8, .dim_mults = {1, 2}, .channels = 1, .groups = 2};
  tutorial.augment_channels = channels;
  return {tutorial, other, fourier};
}

NetworkInput input_with(const Tensor& augment) {
  return {.x = Variable(test::random_tensor({2, 4, 4, 1}, 1, 1)),
          .t = Tensor::of({2}, {3, 40}),
          .augment = augment};
}

std::unique_ptr<Network> made(const NetworkConfig& config) {
  auto network = make_network(config);
  network->initialize(5);
  return network;
}

TEST(AugmentEmbedding, ZerosAreAsIfNothingWasTold) {
  for (const NetworkConfig& config : small_networks()) {
    const auto network = made(config);
    EXPECT_TRUE(network->takes().augment);
    const auto output = [&](const Tensor& augment) {
      return (*network)(input_with(augment)).value().values();
    };
    EXPECT_EQ(output(Tensor::zeros({2, kChannels})), output({}));
    EXPECT_NE(output(Tensor::full({2, kChannels}, 0.5f)), output({}));
  }
}

// Nothing but the layer is new: the same seed gives all other weights, and so the same output.
TEST(AugmentEmbedding, ANetworkWithoutItIsAsBefore) {
  const std::vector<NetworkConfig> with = small_networks(), without = small_networks(0);
  for (size_t i = 0; i < with.size(); ++i) {
    const auto a = made(with[i]), b = made(without[i]);
    EXPECT_FALSE(b->takes().augment);
    EXPECT_EQ(a->parameters().size(), b->parameters().size() + 1);
    EXPECT_EQ((*a)(input_with({})).value().values(), (*b)(input_with({})).value().values());
    EXPECT_NE(with[i], without[i]);
    EXPECT_THROW((*b)(input_with(Tensor::zeros({2, kChannels}))), Error);
    EXPECT_THROW((*a)(input_with(Tensor::zeros({2, 3}))), Error);
    EXPECT_THROW((*a)(input_with(Tensor::zeros({1, kChannels}))), Error);
  }
}

TEST(AugmentEmbedding, IsReadOffNamesAndShapes) {
  for (const NetworkConfig& config : small_networks()) {
    const auto network = make_network(config, Device::kDry);
    StateDictShapes shapes;
    for (const NamedParameter& named : network->parameters())
      shapes.emplace(named.path, named.parameter->variable.shape());
    ASSERT_TRUE(shapes.contains(kPath)) << config.family();
    const auto found = recognise_network(shapes, {});
    ASSERT_TRUE(found);
    EXPECT_EQ(found->augment_channels(), kChannels);
    shapes.erase(kPath);
    EXPECT_EQ(recognise_network(shapes, {})->augment_channels(), 0);
  }
}

TEST(AugmentEmbedding, ImpossibleNumbersAreRefused) {
  for (NetworkConfig config : small_networks()) {
    config.augment_channels() = -1;
    EXPECT_THROW(config.check(), UsageError);
  }
}

// Through the whole layer, with respect to the embedding and to the weight.
TEST(AugmentEmbedding, ItsGradientIsThatOfFiniteDifferences) {
  const Tensor told = test::random_tensor({3, kChannels}, 2, 1);
  AugmentEmbedding layer({.channels = kChannels, .width = 4}, Device::kCpu);
  ASSERT_EQ(layer.parameters().size(), 1u);
  Variable& weight = layer.parameters()[0].parameter->variable;
  const auto operation = [&](const std::vector<Variable>& in) {
    weight = in[1];
    return activation(Activation::kSilu, layer.added_to(in[0], told));
  };
  EXPECT_LT(test::worst_gradient_error(operation, {test::random_tensor({3, 4}, 3),
                                                   test::random_tensor({kChannels, 4}, 4)}),
            test::Tolerance::kGradient);
}

TEST(AugmentEmbedding, PartsOfABatchTakeTheirOwnRows) {
  const NetworkInput input = input_with(test::random_tensor({2, kChannels}, 2, 1));
  EXPECT_EQ(input.rows(1, 2).augment.values(), input.augment.rows(1, 2).values());
}

}  // namespace
}  // namespace ddpm
