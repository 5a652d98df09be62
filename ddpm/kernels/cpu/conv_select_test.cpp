#include "ddpm/kernels/cpu/conv_select.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace ddpm::cpu {
namespace {

ConvShape layer(int64_t size, int64_t channels, int64_t outputs, int64_t kernel = 3) {
  return {.batch = 2,
          .height = size,
          .width = size,
          .channels = channels,
          .kernel_height = kernel,
          .kernel_width = kernel,
          .outputs = outputs,
          .padding = kernel / 2};
}

class ConvSelectTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (std::getenv("DDPM_CONV")) GTEST_SKIP() << "DDPM_CONV overrides the choice";
  }
};

TEST_F(ConvSelectTest, TakesWinogradForTheBodyOfANetwork) {
  EXPECT_EQ(conv_algorithm(layer(32, 64, 64)), ConvAlgorithm::kWinograd4);
  EXPECT_EQ(conv_algorithm(layer(8, 512, 256)), ConvAlgorithm::kWinograd4);
  EXPECT_EQ(conv_algorithm(layer(4, 512, 512)), ConvAlgorithm::kWinograd2);
}

TEST_F(ConvSelectTest, TakesTheDirectConvolutionElsewhere) {
  EXPECT_EQ(conv_algorithm(layer(32, 3, 64)), ConvAlgorithm::kDirect);
  EXPECT_EQ(conv_algorithm(layer(32, 64, 3)), ConvAlgorithm::kDirect);
  EXPECT_EQ(conv_algorithm(layer(32, 64, 64, 1)), ConvAlgorithm::kDirect);
  EXPECT_EQ(conv_algorithm(layer(1, 64, 64)), ConvAlgorithm::kDirect);
  ConvShape strided = layer(32, 64, 64);
  strided.stride = 2;
  EXPECT_EQ(conv_algorithm(strided), ConvAlgorithm::kDirect);
  ConvShape valid = layer(32, 64, 64);
  valid.padding = 0;
  EXPECT_EQ(conv_algorithm(valid), ConvAlgorithm::kDirect);
}

TEST_F(ConvSelectTest, DoesNotLookAtTheBatch) {
  for (int64_t size : {1, 4, 6, 7, 8, 32}) {
    ConvShape one = layer(size, 64, 64), many = one;
    one.batch = 1;
    many.batch = 64;
    EXPECT_EQ(conv_algorithm(one), conv_algorithm(many)) << size;
  }
}

}  // namespace
}  // namespace ddpm::cpu
