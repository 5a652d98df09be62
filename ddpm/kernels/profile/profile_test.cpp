#include "ddpm/kernels/profile/profile.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <thread>

namespace ddpm {
namespace {

struct Convolution {
  Tensor x = Tensor::full({2, 8, 8, 32}, 1), w = Tensor::full({3, 3, 32, 48}, 1);
  Tensor y{{2, 8, 8, 48}};
  void run() {
    backend_for(Device::kCpu).run(op::Conv2d{.args = {.padding = 1}, .x = x, .w = w, .y = y});
  }
};

TEST(Profile, SumsAlikeCallsAndCountsTheirArithmetic) {
  Convolution convolution;
  Profile profile(Device::kCpu);
  convolution.run();
  convolution.run();
  const std::vector<ProfiledOperation> operations = profile.take();
  ASSERT_EQ(operations.size(), 1u);
  EXPECT_EQ(operations[0].operation, "conv2d");
  EXPECT_EQ(operations[0].shape, "3x3 32->48 on 2x8x8");
  EXPECT_EQ(operations[0].calls, 2);
  EXPECT_EQ(operations[0].flops, 2 * (2.0 * 2 * 8 * 8 * 48 * 9 * 32));
  EXPECT_GT(operations[0].seconds, 0);
  EXPECT_TRUE(profile.take().empty());
}

TEST(Profile, TheBackendStillComputes) {
  Convolution convolution;
  {
    Profile profile(Device::kCpu);
    convolution.run();
    EXPECT_EQ(backend_for(Device::kCpu).name(), std::string("cpu"));
  }
  EXPECT_NEAR(convolution.y.f32()[(8 + 1) * 48], 9 * 32, 1e-2);
}

TEST(Profile, TimesItsOwnThreadOnly) {
  Convolution convolution;
  Profile profile(Device::kCpu);
  std::thread([&] { convolution.run(); }).join();
  EXPECT_TRUE(profile.take().empty());
}

// Which arguments an operation has is part of its name, so that like is summed with like.
TEST(Profile, NamesWhatAnOperationDoes) {
  const Tensor x({1, 2, 2, 4}), gamma({4}), beta({4}), film({1, 8});
  Tensor y({1, 2, 2, 4}), mean({1, 2}), rstd({1, 2});
  Profile profile(Device::kRef);
  backend_for(Device::kRef)
      .run(op::GroupNorm{.args = {.groups = 2, .silu = true},
                         .x = x,
                         .gamma = gamma,
                         .beta = beta,
                         .film = &film,
                         .residual = &x,
                         .y = y,
                         .mean = mean,
                         .rstd = rstd});
  backend_for(Device::kRef).run(op::Add{.a = x, .b = x, .y = y});
  const std::vector<ProfiledOperation> operations = profile.take();
  ASSERT_EQ(operations.size(), 2u);
  EXPECT_EQ(operations[0].operation, "group_norm film silu add");
  EXPECT_EQ(operations[0].shape, "1x2x2x4");
  EXPECT_EQ(operations[1].operation, "add");
}

TEST(Profile, TellsTheAlgorithmAndWhyItIsNotAFasterOne) {
  if (std::getenv("DDPM_CONV")) GTEST_SKIP() << "DDPM_CONV overrides the choice";
  const Tensor x({1, 16, 16, 64}), narrow({1, 16, 16, 8});
  const Tensor w({3, 3, 64, 64}), few({3, 3, 8, 64}), large({5, 5, 64, 64}), one({1, 1, 64, 64});
  const Backend& backend = backend_for(Device::kCpu);
  Tensor unused;
  const auto algorithm = [&](const ConvArgs& args, const Tensor& image, const Tensor& weights) {
    return backend.algorithm(op::Conv2d{.args = args, .x = image, .w = weights, .y = unused});
  };
  EXPECT_EQ(algorithm({.padding = 1}, x, w), "winograd F(4)");
  EXPECT_EQ(algorithm({.padding = 1}, narrow, few), "direct: below 16 channels");
  EXPECT_EQ(algorithm({.padding = 2}, x, large), "direct: not 3x3");
  EXPECT_EQ(algorithm({.stride = 2, .padding = 1}, x, w), "direct: stride > 1");
  EXPECT_EQ(algorithm({}, x, w), "direct: padding is not 1");
  EXPECT_EQ(algorithm({}, x, one), "matrix product");
}

}  // namespace
}  // namespace ddpm
