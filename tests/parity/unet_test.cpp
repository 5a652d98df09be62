// Compares whole networks with PyTorch's numbers, on every host backend.
#include "ddpm/nn/tutorial/unet.h"

#include "tests/parity/parity.h"

namespace ddpm::test {
namespace {

using namespace tutorial;

struct Case {
  const char* name;
  UnetConfig config;
};

const Case kCases[] = {
    {"unet_tiny", {.dim = 8, .dim_mults = {1, 2}}},
    {"unet_default_mults", {.dim = 8}},
    {"unet_gray_rect", {.dim = 8, .dim_mults = {1, 2, 4}, .channels = 1}},
    {"unet_learned_variance", {.dim = 8, .dim_mults = {1, 2}, .output_dim = 6, .groups = 8}},
};

class Networks : public ::testing::TestWithParam<Device> {};

INSTANTIATE_TEST_SUITE_P(Backends, Networks, ::testing::Values(Device::kRef, Device::kCpu),
                         backend_name);

TEST_P(Networks, OutputsAndEveryGradient) {
  const Device device = GetParam();
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    const Fixture fixture(c.name);
    DiffusionUnet network(c.config, device);
    load_parameters(network, fixture.params());
    const Variable x = Variable::leaf(fixture.at("in.x").clone().to(device));
    const Tensor t = fixture.at("in.t").to(device);
    const Errors errors =
        run_block(fixture, network, "", {{"x", x}}, [&] { return network(x, t); });
    std::vector<double> gradients;
    for (const auto& [name, error] : errors) {
      EXPECT_LE(error, name == "out" ? Tolerance::kNetworkOutput : Tolerance::kNetworkGradient)
          << name;
      if (name != "out") gradients.push_back(error);
    }
    EXPECT_LE(median(gradients), Tolerance::kNetworkGradientMedian);
  }
}

// The paths and their order are PyTorch's, so a state dict needs no renaming.
TEST(StateDict, PathsAreTheTutorials) {
  DiffusionUnet network({.dim = 8, .dim_mults = {1, 2}});
  const std::vector<NamedParameter> parameters = network.parameters();
  const Fixture::Tensors expected = Fixture("unet_tiny").params();
  EXPECT_EQ(parameters.size(), expected.size());
  for (const NamedParameter& named : parameters)
    EXPECT_TRUE(expected.contains(named.path)) << named.path;
  EXPECT_EQ(parameters.front().path, "init_conv.weight");
  EXPECT_EQ(parameters.back().path, "final_conv.bias");
}

}  // namespace
}  // namespace ddpm::test
