#include <gtest/gtest.h>

#include "ddpm/kernels/cpu/ops/backend_test_support.h"

namespace ddpm {
namespace {

using namespace ddpm::testing;

class ReshapeTest : public EverySimd {};

TEST_P(ReshapeTest, MovesEveryElementAsRefDoes) {
  for (int64_t channels = 1; channels <= 34; ++channels) {
    const Tensor x = normal_tensor({2, 4, 6, channels}, 1);
    const Tensor folded = normal_tensor({2, 2, 3, 4 * channels}, 2);
    expect_agrees_with_ref(
        [&](Backend& on) {
          Tensor deep = unwritten(folded.shape()), flat = unwritten(x.shape());
          Tensor large = unwritten({2, 8, 12, channels}), both = unwritten({2, 4, 6, 3 * channels});
          Tensor left = unwritten({2, 2, 3, channels}), right = unwritten({2, 2, 3, 3 * channels});
          on.run(op::SpaceToDepth{.size = 2, .x = x, .y = deep});
          on.run(op::DepthToSpace{.size = 2, .x = folded, .y = flat});
          on.run(op::UpsampleNearest{.x = x, .y = large});
          on.run(op::ConcatChannels{
              .a = x, .b = normal_tensor({2, 4, 6, 2 * channels}, 3), .y = both});
          on.run(op::SplitChannels{.y = folded, .a = &left});
          on.run(op::SplitChannels{.y = folded, .b = &right});
          return std::vector<Output>{{"space_to_depth", deep},    {"depth_to_space", flat},
                                     {"upsample_nearest", large}, {"concat_channels", both},
                                     {"split left", left},        {"split right", right}};
        },
        std::to_string(channels) + " channels", test::Tolerance::kMove);
  }
}

TEST_P(ReshapeTest, CellsOfOtherSizesWorkToo) {
  expect_agrees_with_ref(
      [&](Backend& on) {
        Tensor deep = unwritten({2, 2, 3, 45}), flat = unwritten({2, 6, 9, 5});
        on.run(op::SpaceToDepth{.size = 3, .x = normal_tensor({2, 6, 9, 5}, 1), .y = deep});
        on.run(op::DepthToSpace{.size = 3, .x = deep, .y = flat});
        return std::vector<Output>{{"space_to_depth", deep}, {"depth_to_space", flat}};
      },
      "3 x 3", test::Tolerance::kMove);
}

TEST_P(ReshapeTest, UpsampleGradientAgrees) {
  for (int64_t channels = 1; channels <= 34; ++channels) {
    expect_agrees_with_ref(
        [&](Backend& on) {
          Tensor dx = unwritten({2, 3, 2, channels});
          on.run(
              op::UpsampleNearestBackward{.dy = normal_tensor({2, 6, 4, channels}, 1), .dx = dx});
          return std::vector<Output>{{"dx", dx}};
        },
        std::to_string(channels) + " channels");
  }
}

TEST_P(ReshapeTest, BitsDoNotDependOnTheThreadCount) {
  const Tensor x = normal_tensor({3, 32, 34, 24}, 1);
  expect_same_bits_for_any_thread_count([&](Backend& on) {
    Tensor deep = unwritten({3, 16, 17, 96}), small = unwritten({3, 16, 17, 24});
    on.run(op::SpaceToDepth{.size = 2, .x = x, .y = deep});
    on.run(op::UpsampleNearestBackward{.dy = x, .dx = small});
    return std::vector<Output>{{"space_to_depth", deep}, {"upsample backward", small}};
  });
}

DDPM_FOR_EVERY_SIMD(ReshapeTest);

}  // namespace
}  // namespace ddpm
