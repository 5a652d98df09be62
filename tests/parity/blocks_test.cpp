// Compares every block of the tutorial with PyTorch's numbers: the output and every gradient, on
// every host backend.
#include "ddpm/nn/tutorial/attention.h"
#include "ddpm/nn/tutorial/block.h"
#include "ddpm/nn/tutorial/residual.h"
#include "ddpm/nn/tutorial/time_embedding.h"
#include "ddpm/nn/unet/resample.h"
#include "tests/parity/parity.h"

namespace ddpm::test {
namespace {

using namespace tutorial;

class Blocks : public ::testing::TestWithParam<Device> {
 protected:
  Device device() const { return GetParam(); }
  Variable leaf(const Fixture& fixture, const std::string& name) const {
    return Variable::leaf(fixture.at("in." + name).clone().to(device()));
  }
  static void expect_parity(const Errors& errors) {
    for (const auto& [name, error] : errors) EXPECT_LE(error, Tolerance::kBlock) << name;
  }
  // A block of one input x.
  template <class M>
  void check(const std::string& name, M& module) {
    const Fixture fixture(name);
    load_parameters(module, fixture.params());
    const Variable x = leaf(fixture, "x");
    expect_parity(run_block(fixture, module, "", {{"x", x}}, [&] { return module(x); }));
  }
};

INSTANTIATE_TEST_SUITE_P(Backends, Blocks, ::testing::Values(Device::kRef, Device::kCpu),
                         backend_name);

TEST_P(Blocks, SpaceToDepth) {
  SpaceToDepth block(2);
  check("space_to_depth", block);
}

TEST_P(Blocks, Upsample) {
  Upsample block({.in_channels = 16, .out_channels = 8}, device());
  check("upsample", block);
}

TEST_P(Blocks, Downsample) {
  Downsample block({.in_channels = 8, .out_channels = 16}, device());
  check("downsample", block);
}

TEST_P(Blocks, SinusoidalPositionEmbedding) {
  const Fixture fixture("sinusoidal_position_embedding");
  const SinusoidalPositionEmbedding embedding(16);
  EXPECT_LE(relative_l2(embedding(fixture.at("in.t").to(device())), fixture.at("out")),
            Tolerance::kBlock);
}

TEST_P(Blocks, WeightStandardizedConv2d) {
  WeightStandardizedConv2d block({.in_channels = 8, .out_channels = 16, .kernel = 3, .padding = 1},
                                 0, device());
  check("weight_standardized_conv2d", block);
}

TEST_P(Blocks, BlockWithScaleAndShift) {
  const Fixture fixture("block_scale_shift");
  Block block({.in_channels = 8, .out_channels = 16, .groups = 4}, device());
  load_parameters(block, fixture.params(), "b.");
  const Variable x = leaf(fixture, "x");
  // The fixture's scale and shift are [N, 1, 1, C] each; ours are the halves of one [N, 2C].
  const auto joined = [&](const Tensor& a, const Tensor& b) {
    const int64_t images = a.size(0), channels = a.size(3);
    Tensor both({images, 2 * channels}, DType::kFloat32, device());
    for (int64_t n = 0; n < images; ++n) {
      std::copy_n(a.f32() + n * channels, channels, both.f32() + 2 * n * channels);
      std::copy_n(b.f32() + n * channels, channels, both.f32() + (2 * n + 1) * channels);
    }
    return both;
  };
  const Variable film = Variable::leaf(joined(fixture.at("in.scale"), fixture.at("in.shift")));
  expect_parity(run_block(fixture, block, "b.", {{"x", x}},
                          [&] { return block(x, {.scale_shift = &film}); }));
  EXPECT_LE(
      relative_l2(film.grad(), joined(fixture.at("grad_in.scale"), fixture.at("grad_in.shift"))),
      Tolerance::kBlock);
}

TEST_P(Blocks, ResnetBlockWithoutTime) {
  ResnetBlock block({.in_channels = 8, .out_channels = 16, .groups = 4}, {}, device());
  check("resnet_block_no_time", block);
}

TEST_P(Blocks, ResnetBlockWithTime) {
  for (const auto& [name, in_channels, groups] :
       {std::tuple{"resnet_block_same", 16, 4}, std::tuple{"resnet_block_widen", 24, 8}}) {
    const Fixture fixture(name);
    ResnetBlock block({.in_channels = in_channels, .out_channels = 16, .groups = groups},
                      {.time_emb_dim = 32}, device());
    load_parameters(block, fixture.params());
    const Variable x = leaf(fixture, "x"), time = leaf(fixture, "time_emb");
    expect_parity(run_block(fixture, block, "", {{"x", x}, {"time_emb", time}},
                            [&] { return block(x, {.time = time}); }));
  }
}

TEST_P(Blocks, Attention) {
  Attention block({.in_channels = 16}, device());
  check("attention", block);
}

TEST_P(Blocks, LinearAttention) {
  LinearAttention block({.in_channels = 16}, device());
  check("linear_attention", block);
}

TEST_P(Blocks, ResidualPreGroupNormLinearAttention) {
  Residual<PreGroupNorm<LinearAttention>> block(
      GroupNorm::Options{.groups = 1, .channels = 16}, device(),
      AttentionOptions{.in_channels = 16, .num_heads = 2, .dim_head = 8}, device());
  check("residual_pre_group_norm_linear_attention", block);
}

}  // namespace
}  // namespace ddpm::test
