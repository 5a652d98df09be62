#include "ddpm/nn/network_size.h"

#include <fmt/core.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/nn/lucidrains/options.h"
#include "ddpm/nn/network.h"
#include "ddpm/nn/tutorial/options.h"
#include "tests/support/errors.h"

namespace ddpm {
namespace {

TEST(NetworkSize, EachMakesANetworkOfEachFamilyForUsualPictures) {
  for (const NetworkFamily& family : network_families()) {
    for (const NetworkSize& size : network_sizes()) {
      for (const int64_t side : {28, 32, 64}) {
        SCOPED_TRACE(fmt::format("{} {} {}", family.name, size.name, side));
        NetworkConfig network = family.defaults();
        set_network_size(network, size.name, side, side);
        EXPECT_NO_THROW(network.check());
        EXPECT_NO_THROW(network.check_image(side, side));
        EXPECT_GT(make_network(network, Device::kDry)->parameter_count(), 0);
      }
    }
  }
}

TEST(NetworkSize, TheParametersAreThoseOfTheTable) {
  int64_t before = 0;
  for (const NetworkSize& size : network_sizes()) {
    NetworkConfig network;
    EXPECT_EQ(set_network_size(network, size.name, 32, 32), 0);
    EXPECT_EQ(make_network(network, Device::kDry)->parameter_count(), size.parameters) << size.name;
    EXPECT_GT(size.parameters, before);
    before = size.parameters;
  }
}

TEST(NetworkSize, LevelsThatThePicturesCannotHaveAreLeftOut) {
  const struct {
    int64_t height, width, left_out;
    std::vector<int64_t> mults, attentions;
  } cases[] = {{32, 32, 0, {1, 2, 4, 8}, {0, 0, 1, 1}},
               {28, 28, 1, {1, 2, 4}, {0, 0, 1}},
               {32, 28, 1, {1, 2, 4}, {0, 0, 1}},
               {30, 64, 2, {1, 2}, {0, 0}},
               {64, 33, 3, {1}, {0}}};
  for (const auto& each : cases) {
    tutorial::UnetConfig wanted;
    wanted.dim_mults = each.mults;
    wanted.attention_levels = each.attentions;
    NetworkConfig network;
    EXPECT_EQ(set_network_size(network, "base", each.height, each.width), each.left_out);
    EXPECT_EQ(network, NetworkConfig(wanted)) << each.height << "x" << each.width;
    EXPECT_NO_THROW(network.check_image(each.height, each.width));
  }
}

TEST(NetworkSize, LevelsOfOtherNetworksAreLeftOutInTheSameWay) {
  NetworkConfig network = tutorial::UnetConfig{.dim_mults = {1, 3, 5}, .attention_levels = {1}};
  EXPECT_EQ(leave_out_levels(network, 32, 30), 1);
  // One value counts for all levels.
  EXPECT_EQ(network,
            NetworkConfig(tutorial::UnetConfig{.dim_mults = {1, 3}, .attention_levels = {1}}));
  EXPECT_EQ(leave_out_levels(network, 32, 30), 0);
  network = lucidrains::UnetConfig{.dim_mults = {1, 2, 4}};
  EXPECT_EQ(leave_out_levels(network, 31, 33), 2);
  EXPECT_EQ(network, NetworkConfig(lucidrains::UnetConfig{.dim_mults = {1}}));
}

TEST(NetworkSize, TheAttentionsAreThoseOfTheFamilyAndOtherOptionsStay) {
  NetworkConfig network = tutorial::UnetConfig{
      .dim = 8, .channels = 1, .groups = 8, .heads = 2, .dim_head = 8, .dropout = 0.1};
  set_network_size(network, "small", 32, 32);
  EXPECT_EQ(network, NetworkConfig(tutorial::UnetConfig{.dim = 32,
                                                        .dim_mults = {1, 2, 4},
                                                        .channels = 1,
                                                        .groups = 8,
                                                        .attention_levels = {0, 0, 1},
                                                        .dropout = 0.1}));
  network = lucidrains::UnetConfig{.heads = {1, 2, 4, 8}, .full_attn = {0, 0, 1, 1}, .mem_kv = 2};
  set_network_size(network, "small", 32, 32);
  EXPECT_EQ(network,
            NetworkConfig(lucidrains::UnetConfig{.dim = 32, .dim_mults = {1, 2, 4}, .mem_kv = 2}));
}

TEST(NetworkSize, UnknownNamesAreRefused) {
  NetworkConfig network;
  const std::string message = test::message_of([&] { set_network_size(network, "huge", 32, 32); });
  EXPECT_NE(message.find("there is no model size 'huge'; choose tiny, small, base or large"),
            std::string::npos)
      << message;
  EXPECT_EQ(network, NetworkConfig());
}

std::string table_of_sizes() {
  std::string table =
      "| size | `dim` | `dim_mults` | `attention_levels` | parameters | time of a step |\n"
      "| --- | ---: | --- | --- | ---: | ---: |\n";
  for (const NetworkSize& size : network_sizes()) {
    table += fmt::format("| `{}` | {} | {} | {} | {} | {} |\n", size.name, size.dim,
                         fmt::join(size.dim_mults, ","), fmt::join(size.attention_levels, ","),
                         size.parameters, size.time);
  }
  return table;
}

TEST(NetworkSize, TheDocumentationHoldsTheTable) {
  const std::string docs = read_file(std::string(DDPM_SOURCE_DIR) + "/docs/recipes.md");
  const std::string table = table_of_sizes();
  EXPECT_NE(docs.find(table), std::string::npos) << "docs/recipes.md should hold this table:\n\n"
                                                 << table;
}

}  // namespace
}  // namespace ddpm
