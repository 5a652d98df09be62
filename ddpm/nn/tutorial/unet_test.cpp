#include "ddpm/nn/tutorial/unet.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "ddpm/autograd/inference.h"
#include "ddpm/base/error.h"
#include "ddpm/nn/tutorial/block.h"
#include "tests/support/compare.h"
#include "tests/support/errors.h"
#include "tests/support/gradients.h"

namespace ddpm::tutorial {
namespace {

using test::random_tensor;
using test::refusal;
using test::relative_l2;
using test::Tolerance;

void expect_words(const std::string& message, const std::vector<std::string>& words) {
  for (const std::string& word : words)
    EXPECT_NE(message.find(word), std::string::npos) << message << " lacks " << word;
}

TEST(UnetConfig, SidesThatDoNotDivideAreRefusedWithSizesThatWork) {
  const UnetConfig config;
  EXPECT_EQ(config.side_divisor(), 8);
  expect_words(refusal([&] { config.check_image(32, 30); }),
               {"width 30", "divisible by 8", "24 or 32"});
  expect_words(refusal([&] { config.check_image(4, 32); }), {"height 4", "8 would work"});
  EXPECT_NO_THROW(config.check_image(8, 40));
  EXPECT_NO_THROW((UnetConfig{.dim_mults = {1}}.check_image(7, 5)));
}

TEST(UnetConfig, GroupsThatDoNotDivideAreRefusedWithGroupsThatWork) {
  expect_words(refusal([] { UnetConfig{.dim = 12, .groups = 8}.check(); }),
               {"groups 8", "width 12", "1, 2, 3, 4, 6 or 12"});
  expect_words(refusal([] { UnetConfig{.dim = 8, .init_dim = 6}.check(); }), {"width 6", "1 or 2"});
}

TEST(UnetConfig, OtherImpossibleValuesAreNamed) {
  expect_words(refusal([] { UnetConfig{.dim = 9, .groups = 1}.check(); }), {"9", "even", "10"});
  expect_words(refusal([] { UnetConfig{.dim_mults = {}}.check(); }), {"dim-mults", "1,2,4,8"});
  expect_words(refusal([] { UnetConfig{.dim_mults = {1, 0}}.check(); }), {"dim-mults", "0"});
  expect_words(refusal([] { UnetConfig{.channels = 0}.check(); }), {"channels"});
  expect_words(refusal([] { UnetConfig{.weight_standardization_eps = -1}.check(); }),
               {"eps", "-1"});
}

TEST(Unet, InitDimMayDifferFromDim) {
  DiffusionUnet unet(
      {.dim = 8, .dim_mults = {1, 2}, .channels = 2, .init_dim = 12, .output_dim = 5});
  unet.initialize(1);
  const Variable out = unet(Variable(random_tensor({2, 6, 4, 2}, 1)), Tensor::of({2}, {3, 500}));
  EXPECT_EQ(out.shape(), (Shape{2, 6, 4, 5}));
  for (float v : out.value().values()) EXPECT_TRUE(std::isfinite(v));
}

TEST(Unet, AFilterOfZeroVarianceGivesNumbers) {
  DiffusionUnet unet({.dim = 8, .dim_mults = {1}});
  unet.initialize(1);
  for (const NamedParameter& named : unet.parameters()) {
    if (named.path.ends_with("proj.weight")) {
      Tensor& w = named.parameter->variable.value();
      std::fill_n(w.f32(), w.elements(), 0.5f);
    }
  }
  Tape tape;
  Variable out;
  {
    Tape::Recording recording(tape);
    out = unet(Variable(random_tensor({1, 5, 3, 3}, 1)), Tensor::of({1}, {7}));
  }
  for (float v : out.value().values()) ASSERT_TRUE(std::isfinite(v));
  tape.backward(out, Tensor::full(out.shape(), 1));
  for (const NamedParameter& named : unet.parameters()) {
    for (float v : named.parameter->variable.grad().values())
      ASSERT_TRUE(std::isfinite(v)) << named.path;
  }
}

TEST(Unet, WrongInputsAreErrors) {
  DiffusionUnet unet({.dim = 8, .dim_mults = {1, 2}});
  const Tensor t = Tensor::of({1}, {0});
  EXPECT_THROW(unet(Variable(Tensor({1, 4, 4, 1})), t), Error);
  EXPECT_THROW(unet(Variable(Tensor({1, 5, 4, 3})), t), UsageError);
  EXPECT_THROW(unet(Variable(Tensor({2, 4, 4, 3})), t), Error);
}

TEST(Unet, InitialValuesArePyTorchsDefaults) {
  DiffusionUnet unet({.dim = 16, .dim_mults = {1, 2}});
  unet.initialize(3);
  std::set<float> first_numbers;
  for (const NamedParameter& named : unet.parameters()) {
    const std::vector<float> values = named.parameter->variable.value().values();
    const double bound = named.parameter->init_bound;
    if (bound == 0) {
      const float expected = named.path.ends_with("weight") ? 1.0f : 0.0f;
      for (float v : values) ASSERT_EQ(v, expected) << named.path;
      continue;
    }
    double sum = 0, squares = 0;
    for (float v : values) {
      ASSERT_LE(std::abs(v), bound) << named.path;
      sum += v;
      squares += double(v) * v;
    }
    const double n = static_cast<double>(values.size());
    EXPECT_NEAR(sum / n, 0, 5 * bound / std::sqrt(3 * n)) << named.path;
    EXPECT_NEAR(squares / n, bound * bound / 3, 5 * bound * bound * 0.3 / std::sqrt(n))
        << named.path;
    EXPECT_TRUE(first_numbers.insert(values[0] / static_cast<float>(bound)).second) << named.path;
  }
  const Tensor w = unet.parameters()[2].parameter->variable.value().clone();
  unet.initialize(3);
  EXPECT_EQ(unet.parameters()[2].parameter->variable.value().values(), w.values());
  unet.initialize(4);
  EXPECT_NE(unet.parameters()[2].parameter->variable.value().values(), w.values());
}

TEST(Unet, ParameterCountOfTheDefaultNetwork) {
  EXPECT_EQ(DiffusionUnet(UnetConfig{}).parameter_count(), 35705347);
}

// What the first convolution reads, in this order: the noisy image, then the condition.
TEST(Unet, TheConditionFollowsTheNoisyImage) {
  const UnetConfig plain{.dim = 8, .dim_mults = {1, 2}};
  UnetConfig conditioned = plain;
  conditioned.condition_channels = 2;
  DiffusionUnet without(plain), with(conditioned);
  without.initialize(1);
  with.initialize(2);
  const std::vector<NamedParameter> of_plain = without.parameters(), all = with.parameters();
  ASSERT_EQ(of_plain.size(), all.size());
  for (size_t i = 0; i < all.size(); ++i) {
    Tensor to = all[i].parameter->variable.value();
    const Tensor from = of_plain[i].parameter->variable.value();
    if (all[i].path == "init_conv.weight") {
      ASSERT_EQ(to.shape(), (Shape{1, 1, 5, 8}));
      std::copy_n(from.f32(), from.elements(), to.f32());
      std::fill_n(to.f32() + from.elements(), 2 * 8, 0.0f);
    } else {
      to.copy_from(from);
    }
  }
  const Tensor x = random_tensor({2, 4, 4, 3}, 1), t = Tensor::of({2}, {1, 20});
  const auto pass = [&](uint64_t seed) {
    return with(NetworkInput{
        .x = Variable(x), .t = t, .condition = Variable(random_tensor({2, 4, 4, 2}, seed))});
  };
  EXPECT_LT(relative_l2(pass(5).value(), without(Variable(x), t).value()),
            Tolerance::kNetworkOutput);
  all[0].parameter->variable.value().f32()[3 * 8] = 1;
  EXPECT_NE(pass(5).value().values(), pass(6).value().values());
}

TEST(Unet, ALevelWithoutAnAttentionLacksItsParametersAndKeepsAllOtherNames) {
  UnetConfig config{.dim = 8, .dim_mults = {1, 2}};
  DiffusionUnet all(config);
  config.attention_levels = {0, 1};
  DiffusionUnet some(config);
  std::vector<std::string> expected, found;
  for (const NamedParameter& named : all.parameters()) {
    if (!named.path.starts_with("down_layers.0.2.") && !named.path.starts_with("up_layers.1.2."))
      expected.push_back(named.path);
  }
  for (const NamedParameter& named : some.parameters()) found.push_back(named.path);
  EXPECT_EQ(found, expected);
  EXPECT_LT(found.size(), all.parameters().size());
}

// An attention that adds nothing gives what no attention gives.
TEST(Unet, ALevelWithoutAnAttentionPassesItsInputOn) {
  UnetConfig config{.dim = 8, .dim_mults = {1, 2}};
  DiffusionUnet all(config);
  all.initialize(1);
  config.attention_levels = {0};
  DiffusionUnet none(config);
  std::vector<NamedParameter> to = none.parameters();
  for (NamedParameter& named : all.parameters()) {
    if (named.path.find("to_output.1.") != std::string::npos)
      named.parameter->variable.value() = Tensor::zeros(named.parameter->variable.shape());
    for (NamedParameter& other : to) {
      if (other.path == named.path)
        other.parameter->variable.value().copy_from(named.parameter->variable.value());
    }
  }
  const Tensor x = random_tensor({2, 4, 4, 3}, 1), t = Tensor::of({2}, {1, 20});
  EXPECT_LT(relative_l2(none(Variable(x), t).value(), all(Variable(x), t).value()),
            Tolerance::kNetworkOutput);
}

TEST(UnetConfig, AttentionsAreChosenForAllLevelsOrForEach) {
  UnetConfig config{.dim = 8, .dim_mults = {1, 2, 2}};
  EXPECT_TRUE(config.attention_at(0));
  config.attention_levels = {0};
  EXPECT_FALSE(config.attention_at(2));
  config.attention_levels = {0, 0, 1};
  EXPECT_FALSE(config.attention_at(0));
  EXPECT_TRUE(config.attention_at(2));
  config.attention_levels = {0, 1};
  expect_words(refusal([&] { config.check(); }), {"attention_levels", "2", "3 levels"});
}

TEST(Unet, DropoutIsThereInTrainingOnlyAndTheSameForAnImageWhateverItsBatch) {
  const UnetConfig plain{.dim = 8, .dim_mults = {1, 2}};
  UnetConfig dropping = plain;
  dropping.dropout = 0.3;
  DiffusionUnet without(plain), with(dropping);
  without.initialize(1);
  with.initialize(1);
  const Tensor x = random_tensor({3, 4, 4, 3}, 1), t = Tensor::of({3}, {1, 20, 300});
  const std::vector<float> expected = without(Variable(x), t).value().values();
  EXPECT_EQ(with(Variable(x), t).value().values(), expected);
  const NetworkInput input{.x = Variable(x), .t = t, .dropout_seeds = {5, 6, 7}};
  EXPECT_THROW(without(input), Error);
  const Tensor dropped = with(input).value();
  EXPECT_NE(dropped.values(), expected);
  EXPECT_EQ(with(input.rows(1, 3)).value().values(), dropped.rows(1, 3).values());
}

TEST(Unet, SelfConditioningSeesTheEstimateBesideTheImages) {
  UnetConfig config{.dim = 8, .dim_mults = {1, 2}};
  config.self_condition = true;
  DiffusionUnet network(config);
  network.initialize(1);
  EXPECT_TRUE(network.takes().estimate);
  const Tensor x = random_tensor({2, 4, 4, 3}, 1), t = Tensor::of({2}, {1, 20});
  const auto output = [&](const Tensor& estimate) {
    return network({.x = Variable(x), .t = t, .estimate = Variable(estimate)}).value().values();
  };
  EXPECT_EQ(output(Tensor::zeros(x.shape())), network(Variable(x), t).value().values());
  EXPECT_NE(output(random_tensor(x.shape(), 2)), output(Tensor::zeros(x.shape())));
  DiffusionUnet without({.dim = 8, .dim_mults = {1, 2}});
  EXPECT_THROW(without({.x = Variable(x), .t = t, .estimate = Variable(x)}), Error);
}

TEST(Unet, ABatchTooLargeForTheCacheGivesTheSameBitsInParts) {
  // The attentions are so wide that four pictures of 16 x 16 fill the cache.
  DiffusionUnet network({.dim = 4, .dim_mults = {1}, .groups = 2, .heads = 16, .dim_head = 240});
  network.initialize(1);
  const Tensor x = random_tensor({5, 16, 16, 3}, 1), t = Tensor::of({5}, {1, 20, 300, 4, 999});
  const std::vector<float> whole = network(Variable(x), t).value().values();
  const Inference scope;
  EXPECT_EQ(network(Variable(x), t).value().values(), whole);
}

TEST(Unet, APartOfABatchHasItsPartOfTheCondition) {
  DiffusionUnet network({.dim = 4,
                         .dim_mults = {1},
                         .condition_channels = 1,
                         .groups = 2,
                         .heads = 16,
                         .dim_head = 240});
  network.initialize(1);
  const NetworkInput input{.x = Variable(random_tensor({5, 16, 16, 3}, 1)),
                           .t = Tensor::of({5}, {1, 20, 300, 4, 999}),
                           .condition = Variable(random_tensor({5, 16, 16, 1}, 2))};
  const std::vector<float> whole = network(input).value().values();
  const Inference scope;
  EXPECT_EQ(network(input).value().values(), whole);
}

TEST(Unet, ClassesAddARowToTheTimeEmbeddingAndNothingElse) {
  const UnetConfig plain{.dim = 8, .dim_mults = {1, 2}};
  UnetConfig told = plain;
  told.classes = 3;
  DiffusionUnet without(plain), with(told);
  without.initialize(1);
  with.initialize(1);
  const auto names = [](DiffusionUnet& network) {
    std::vector<std::string> all;
    for (const NamedParameter& named : network.parameters()) all.push_back(named.path);
    return all;
  };
  std::vector<std::string> expected = names(without);
  expected.insert(std::find_if(expected.begin(), expected.end(),
                               [](const auto& name) { return name.starts_with("down_layers"); }),
                  "class_embedding.weight");
  EXPECT_EQ(names(with), expected);

  const Tensor x = random_tensor({3, 4, 4, 3}, 1), t = Tensor::of({3}, {1, 20, 300});
  const auto output = [&](const std::vector<float>& labels) {
    return with({.x = Variable(x), .t = t, .labels = Tensor::of({3}, labels)}).value();
  };
  const Tensor mixed = output({2, -1, 0});
  EXPECT_EQ(output({2, 2, 2}).rows(0, 1).values(), mixed.rows(0, 1).values());
  EXPECT_NE(output({2, 2, 2}).rows(1, 2).values(), mixed.rows(1, 2).values());
  for (NamedParameter& named : with.parameters()) {
    if (named.path == "class_embedding.weight")
      named.parameter->variable.value() = Tensor::zeros({4, 32});
  }
  EXPECT_EQ(output({2, -1, 0}).values(), without(Variable(x), t).value().values());
  EXPECT_THROW(output({2, -1, 3}), Error);
  EXPECT_THROW(output({2, -1, 0.5}), Error);
  EXPECT_THROW(with(Variable(x), t), Error);
  EXPECT_THROW(without({.x = Variable(x), .t = t, .labels = t}), Error);
}

}  // namespace
}  // namespace ddpm::tutorial
