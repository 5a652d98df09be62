// Which elements the blocks of whole networks drop, in every family.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "ddpm/autograd/variable.h"
#include "ddpm/nn/lucidrains/options.h"
#include "ddpm/nn/network.h"
#include "ddpm/nn/tutorial/unet.h"
#include "tests/support/gradients.h"

namespace ddpm {
namespace {

struct Family {
  NetworkConfig config;
  // The end of the names of the parameters [C] of the norms that come just before a dropout.
  std::string norm;
};

// Which channels each block drops, told from gradients. For one image of one pixel, the gradient of
// a norm's parameter is 0 where the channel that it belongs to is dropped, and nowhere else.
std::vector<std::pair<std::string, std::vector<bool>>> dropped_channels(const Family& family) {
  const auto network = make_network(family.config);
  network->initialize(1);
  Tape tape;
  Variable out;
  {
    const Tape::Recording recording(tape);
    out = (*network)({.x = Variable(test::random_tensor({1, 1, 1, 3}, 1)),
                      .t = Tensor::of({1}, {20}),
                      .dropout_seeds = {5}});
  }
  tape.backward(out, test::random_tensor(out.shape(), 2));
  std::vector<std::pair<std::string, std::vector<bool>>> dropped;
  for (const NamedParameter& named : network->parameters()) {
    if (!named.path.ends_with(family.norm)) continue;
    dropped.emplace_back(named.path, std::vector<bool>());
    for (const float slope : named.parameter->variable.grad().values())
      dropped.back().second.push_back(slope == 0);
  }
  return dropped;
}

// If two blocks had the same stream of random numbers, they would drop the same channels. With 32
// channels, half of which are dropped, chance does that once in 4e9.
TEST(Dropout, EachBlockOfANetworkDropsOtherElements) {
  const Family families[] = {
      {tutorial::UnetConfig{.dim = 32, .dim_mults = {1}, .dropout = 0.5}, "block1.norm.bias"},
      {lucidrains::UnetConfig{.dim = 32, .dim_mults = {1}, .dropout = 0.5}, "block1.norm.g"}};
  for (const Family& family : families) {
    const auto dropped = dropped_channels(family);
    // Two on the way down, two in the middle, two on the way up and the last.
    ASSERT_EQ(dropped.size(), 7u) << family.config.family();
    for (size_t i = 0; i < dropped.size(); ++i) {
      const auto& [name, channels] = dropped[i];
      ASSERT_EQ(channels.size(), 32u) << name;
      const auto count = std::count(channels.begin(), channels.end(), true);
      EXPECT_TRUE(count > 4 && count < 28) << name << " drops " << count;
      for (size_t j = 0; j < i; ++j)
        EXPECT_NE(channels, dropped[j].second) << name << " and " << dropped[j].first;
    }
  }
}

}  // namespace
}  // namespace ddpm
