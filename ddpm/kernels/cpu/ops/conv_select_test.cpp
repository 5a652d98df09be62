#include "ddpm/kernels/cpu/ops/conv_select.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "ddpm/kernels/cpu/conv/conv_test_support.h"

namespace ddpm::cpu {
namespace {

ConvShape layer(int64_t size, int64_t channels, int64_t outputs, int64_t kernel = 3) {
  return square(8, size, channels, outputs, kernel);
}

constexpr ConvPass kPasses[] = {ConvPass::kForward, ConvPass::kBackwardData,
                                ConvPass::kBackwardWeights};

class ConvSelectTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (std::getenv("DDPM_CONV")) GTEST_SKIP() << "DDPM_CONV overrides the choice";
  }
};

TEST_F(ConvSelectTest, TakesWinogradForTheBodyOfANetwork) {
  for (ConvPass pass : kPasses) {
    EXPECT_EQ(conv_algorithm(layer(32, 64, 64), pass), ConvAlgorithm::kWinograd4);
    EXPECT_EQ(conv_algorithm(layer(8, 512, 256), pass), ConvAlgorithm::kWinograd4);
  }
  EXPECT_EQ(conv_algorithm(layer(4, 512, 512), ConvPass::kBackwardData), ConvAlgorithm::kWinograd2);
}

TEST_F(ConvSelectTest, TakesTheDirectConvolutionElsewhere) {
  ConvShape strided = layer(32, 64, 64), valid = strided;
  strided.stride = 2;
  valid.padding = 0;
  for (ConvPass pass : kPasses) {
    for (const ConvShape& shape : {layer(32, 3, 64), layer(32, 64, 3), layer(32, 64, 64, 1),
                                   layer(1, 64, 64), strided, valid}) {
      EXPECT_EQ(conv_algorithm(shape, pass), ConvAlgorithm::kDirect);
    }
  }
}

TEST_F(ConvSelectTest, TakesKernelsForFewChannelsAtTheEndsOfANetwork) {
  for (ConvPass pass : kPasses) {
    EXPECT_EQ(conv_algorithm(layer(32, 3, 64, 1), pass), ConvAlgorithm::kFewChannels);
    EXPECT_EQ(conv_algorithm(layer(32, 64, 1, 1), pass), ConvAlgorithm::kFewChannels);
  }
}

TEST_F(ConvSelectTest, DoesNotLookAtTheBatchWhereBitsWouldDependOnIt) {
  for (ConvPass pass : {ConvPass::kForward, ConvPass::kBackwardData}) {
    for (int64_t size : {1, 4, 6, 7, 8, 32}) {
      ConvShape one = layer(size, 64, 64), many = one;
      one.batch = 1;
      many.batch = 64;
      EXPECT_EQ(conv_algorithm(one, pass), conv_algorithm(many, pass)) << size;
    }
  }
}

}  // namespace
}  // namespace ddpm::cpu
