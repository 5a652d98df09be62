// Compares networks of lucidrains/denoising-diffusion-pytorch 2.3.1 with its own numbers, on every
// host backend. Outputs are those of its code in float64, gradients those in float32.
#include <cmath>

#include "ddpm/nn/lucidrains/options.h"
#include "ddpm/nn/lucidrains/recognise.h"
#include "tests/parity/parity.h"

namespace ddpm::test {
namespace {

using lucidrains::UnetConfig;

struct Case {
  const char* name;
  UnetConfig config;
};

const Case kCases[] = {
    {"default", {.dim = 16, .dim_mults = {1, 2}}},
    {"full_attn_mixed",
     {.dim = 8,
      .dim_mults = {1, 2, 4},
      .heads = {1, 2, 3},
      .dim_head = {8, 4, 16},
      .full_attn = {1, 0, 1}}},
    {"gray_rect", {.dim = 8, .dim_mults = {1, 2, 2}, .channels = 1, .heads = {2}, .dim_head = {8}}},
    {"init_dim_theta_4ch",
     {.dim = 8,
      .dim_mults = {1, 2},
      .channels = 4,
      .init_dim = 12,
      .output_dim = 5,
      .heads = {2},
      .dim_head = {8},
      .theta = 500,
      .dropout = 0.1}},
    {"learned_sinusoidal",
     {.dim = 8,
      .dim_mults = {1, 2},
      .heads = {2},
      .dim_head = {8},
      .learned_sinusoidal_cond = true,
      .learned_sinusoidal_dim = 16}},
    {"learned_variance",
     {.dim = 8, .dim_mults = {1, 2}, .output_dim = 6, .heads = {2}, .dim_head = {8}}},
    {"random_fourier_edm",
     {.dim = 8,
      .dim_mults = {1, 2},
      .heads = {2},
      .dim_head = {8},
      .random_fourier_features = true,
      .learned_sinusoidal_dim = 12}},
    {"self_cond",
     {.dim = 8, .dim_mults = {1, 2}, .heads = {2}, .dim_head = {8}, .self_condition = true}},
};

class Lucidrains : public ::testing::TestWithParam<Device> {
 protected:
  Variable leaf(const Fixture& fixture, const std::string& name) const {
    return Variable::leaf(fixture.at("in." + name).clone().to(GetParam()));
  }
  NetworkInput input_of(const Fixture& fixture) const {
    NetworkInput input{.x = leaf(fixture, "x"), .t = fixture.at("in.t").to(GetParam())};
    if (fixture.has("in.x_self_cond")) input.estimate = leaf(fixture, "x_self_cond");
    return input;
  }
};

INSTANTIATE_TEST_SUITE_P(Backends, Lucidrains, ::testing::Values(Device::kRef, Device::kCpu),
                         backend_name);

TEST_P(Lucidrains, Outputs) {
  for (const Case& c : kCases) {
    const Fixture fixture(std::string("lucidrains_") + c.name);
    const auto network = make_network(c.config, GetParam());
    load_parameters(*network, fixture.params());
    const Variable out = (*network)(input_of(fixture));
    EXPECT_LE(relative_l2(out.value(), fixture.at("out")), Tolerance::kPeerOutput) << c.name;
  }
}

TEST_P(Lucidrains, AnEstimateThatIsAbsentIsZeros) {
  const Fixture fixture("lucidrains_self_cond");
  const auto network = make_network(kCases[7].config, GetParam());
  load_parameters(*network, fixture.params());
  NetworkInput input = input_of(fixture);
  input.estimate = {};
  EXPECT_LE(relative_l2((*network)(input).value(), fixture.at("out_no_self_cond")),
            Tolerance::kPeerOutput);
}

TEST_P(Lucidrains, EveryGradient) {
  for (const Case& c : kCases) {
    const Fixture fixture(std::string("lucidrains_") + c.name);
    if (!fixture.has("grad_out")) continue;
    SCOPED_TRACE(c.name);
    const auto network = make_network(c.config, GetParam());
    load_parameters(*network, fixture.params());
    for (const bool recompute : {false, true}) {
      const NetworkInput input = input_of(fixture);
      network->set_recompute(recompute);
      for (const NamedParameter& named : network->parameters())
        named.parameter->variable.clear_grad();
      const Errors errors =
          run_block(fixture, *network, "", {{"x", input.x}, {"x_self_cond", input.estimate}},
                    [&] { return (*network)(input); });
      EXPECT_GT(errors.size(), 100u);
      for (const auto& [name, error] : errors) {
        EXPECT_LE(error, name == "out" ? Tolerance::kPeerOutput : Tolerance::kPeerGradient) << name;
      }
      double difference = 0, whole = 0;
      for (const NamedParameter& named : network->parameters()) {
        const Tensor want = fixture.grads().at(named.path);
        const double norm = l2_norm(want);
        difference += std::pow(relative_l2(named.parameter->variable.grad(), want) * norm, 2);
        whole += norm * norm;
      }
      EXPECT_LE(std::sqrt(difference / whole), Tolerance::kPeerGradients);
    }
  }
}

// The peers' weights tell the options, but for those that no weight shows.
TEST(LucidrainsStateDict, TellsTheOptions) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    const Fixture fixture(std::string("lucidrains_") + c.name);
    StateDictShapes shapes;
    for (const auto& [path, tensor] : fixture.params()) shapes.emplace(path, tensor.shape());
    JsonObject given;
    given.set("theta", json_value::write(c.config.theta));
    const auto found = recognise_network(shapes, given);
    ASSERT_TRUE(found);
    UnetConfig expected = c.config;
    expected.dropout = 0;
    if (expected.random_fourier_features) {
      expected.random_fourier_features = false;
      expected.learned_sinusoidal_cond = true;
    }
    EXPECT_EQ(*found, NetworkConfig(expected));
  }
}

}  // namespace
}  // namespace ddpm::test
