// Compares the gradients of every differentiable operation with finite differences, on every host
// backend.
#include <gtest/gtest.h>

#include <string>
#include <tuple>

#include "ddpm/autograd/functions.h"
#include "ddpm/base/error.h"
#include "tests/support/compare.h"
#include "tests/support/gradients.h"

namespace ddpm {
namespace {

using test::random_tensor;
using test::worst_gradient_error;
using Inputs = std::vector<Variable>;

constexpr double kBound = test::Tolerance::kGradient;

class Gradients : public ::testing::TestWithParam<Device> {
 protected:
  Tensor random(Shape shape, uint64_t seed, float scale = 1, float offset = 0) const {
    return random_tensor(shape, seed, scale, offset).to(GetParam());
  }
};

INSTANTIATE_TEST_SUITE_P(Backends, Gradients, ::testing::Values(Device::kRef, Device::kCpu),
                         [](const auto& info) { return std::string(name_of(info.param)); });

TEST_P(Gradients, Conv2d) {
  struct Case {
    int64_t height, width, in, out, kernel;
    ConvArgs args;
  };
  for (const Case& c :
       {Case{4, 5, 3, 4, 3, {1, 1}}, Case{5, 4, 2, 3, 3, {2, 1}}, Case{6, 6, 2, 3, 2, {2, 0}},
        Case{3, 3, 5, 2, 1, {1, 0}}, Case{4, 4, 1, 2, 7, {1, 3}}, Case{2, 2, 2, 9, 3, {1, 1}}}) {
    const Tensor x = random({2, c.height, c.width, c.in}, 1),
                 w = random({c.kernel, c.kernel, c.in, c.out}, 2);
    const auto op = [&](const Inputs& in) { return conv2d(in[0], in[1], &in[2], c.args); };
    EXPECT_LT(worst_gradient_error(op, {x, w, random({c.out}, 3)}), kBound)
        << c.kernel << " " << c.args.stride;
    const auto without_bias = [&](const Inputs& in) {
      return conv2d(in[0], in[1], nullptr, c.args);
    };
    EXPECT_LT(worst_gradient_error(without_bias, {x, w}), kBound)
        << c.kernel << " " << c.args.stride;
  }
}

TEST_P(Gradients, WeightStandardize) {
  for (double eps : {0.0, 1e-5, 0.1}) {
    const auto op = [&](const Inputs& in) {
      return conv2d(in[0], in[1], nullptr, {.padding = 1}, {.standardize_eps = eps});
    };
    EXPECT_LT(worst_gradient_error(op, {random({1, 3, 4, 4}, 1), random({3, 3, 4, 5}, 2)}), kBound)
        << eps;
  }
}

TEST_P(Gradients, Conv2dOfTwoInputs) {
  for (int64_t kernel : {1, 3}) {
    const auto op = [&](const Inputs& in) {
      return conv2d(in[0], in[1], &in[2], {.padding = kernel / 2}, {.more = &in[3]});
    };
    EXPECT_LT(worst_gradient_error(op, {random({2, 3, 4, 3}, 1), random({kernel, kernel, 5, 4}, 2),
                                        random({4}, 3), random({2, 3, 4, 2}, 4)}),
              kBound)
        << kernel;
  }
}

TEST_P(Gradients, AConvolutionBehindANormThatItComputesAnew) {
  const auto op = [](const Inputs& in) {
    const Variable normalised =
        group_norm(in[0], in[1], in[2], &in[3], {.groups = 2, .silu = true});
    return conv2d(normalised, in[4], nullptr, {.padding = 1});
  };
  EXPECT_LT(
      worst_gradient_error(op, {random({2, 3, 4, 6}, 1, 2, 1), random({6}, 2, 0.3f, 1),
                                random({6}, 3), random({2, 12}, 4, 0.5f), random({3, 3, 6, 4}, 5)}),
      kBound);
}

TEST_P(Gradients, GroupNorm) {
  for (int64_t groups : {1, 2, 6}) {
    for (bool silu : {false, true}) {
      const NormArgs args{.groups = groups, .silu = silu};
      const Tensor x = random({2, 3, 4, 6}, 1, 2, 1), gamma = random({6}, 2, 0.3f, 1),
                   beta = random({6}, 3);
      const auto plain = [&](const Inputs& in) {
        return group_norm(in[0], in[1], in[2], nullptr, args);
      };
      EXPECT_LT(worst_gradient_error(plain, {x, gamma, beta}), kBound) << groups << silu;
      const auto film = [&](const Inputs& in) {
        return group_norm(in[0], in[1], in[2], &in[3], args);
      };
      EXPECT_LT(worst_gradient_error(film, {x, gamma, beta, random({2, 12}, 4, 0.5f)}), kBound)
          << groups << silu;
      const auto residual = [&](const Inputs& in) {
        return group_norm(in[0], in[1], in[2], nullptr, args, &in[3]);
      };
      EXPECT_LT(worst_gradient_error(residual, {x, gamma, beta, random(x.shape(), 5)}), kBound)
          << groups << silu;
    }
  }
}

TEST_P(Gradients, RmsNorm) {
  for (bool silu : {false, true}) {
    const RmsNormArgs args{.silu = silu};
    const Tensor x = random({2, 3, 4, 6}, 1, 1, 1), g = random({1, 6, 1, 1}, 2, 0.3f, 1);
    const auto plain = [&](const Inputs& in) { return rms_norm(in[0], in[1], nullptr, args); };
    EXPECT_LT(worst_gradient_error(plain, {x, g}), kBound) << silu;
    const auto film = [&](const Inputs& in) { return rms_norm(in[0], in[1], &in[2], args); };
    EXPECT_LT(worst_gradient_error(film, {x, g, random({2, 12}, 4, 0.5f)}), kBound) << silu;
    const auto residual = [&](const Inputs& in) {
      return rms_norm(in[0], in[1], nullptr, args, &in[2]);
    };
    EXPECT_LT(worst_gradient_error(residual, {x, g, random(x.shape(), 5)}), kBound) << silu;
  }
}

TEST_P(Gradients, AConvolutionBehindAnRmsNormThatItComputesAnew) {
  const auto op = [](const Inputs& in) {
    return conv2d(rms_norm(in[0], in[1], &in[2], {.silu = true}), in[3], nullptr, {.padding = 1});
  };
  EXPECT_LT(worst_gradient_error(op, {random({2, 3, 4, 6}, 1, 1, 1), random({6}, 2, 0.3f, 1),
                                      random({2, 12}, 4, 0.5f), random({3, 3, 6, 4}, 5)}),
            kBound);
}

TEST_P(Gradients, Dropout) {
  const auto op = [](const Inputs& in) { return dropout(in[0], 0.3, {5, 6}, 1); };
  EXPECT_LT(worst_gradient_error(op, {random({2, 3, 4, 5}, 1)}), kBound);
  const auto before_conv = [](const Inputs& in) {
    return conv2d(dropout(in[0], 0.3, {5, 6}, 1), in[1], nullptr, {.padding = 1});
  };
  EXPECT_LT(worst_gradient_error(before_conv, {random({2, 4, 3, 2}, 1), random({3, 3, 2, 3}, 2)}),
            kBound);
  EXPECT_THROW(dropout(Variable(random({3, 2}, 1)), 0.3, {5, 6}, 1), Error);
}

TEST_P(Gradients, FourierEmbedding) {
  const Tensor t = Tensor::of({3}, {-0.3f, 0.2f, 1}, GetParam());
  const auto op = [&](const Inputs& in) { return fourier_embedding(t, in[0]); };
  EXPECT_LT(worst_gradient_error(op, {random({5}, 1)}), kBound);
}

TEST_P(Gradients, Linear) {
  const auto op = [](const Inputs& in) { return linear(in[0], in[1], &in[2]); };
  EXPECT_LT(worst_gradient_error(op, {random({3, 7}, 1), random({7, 5}, 2), random({5}, 3)}),
            kBound);
}

TEST_P(Gradients, Lookup) {
  const Tensor rows = Tensor::of({5}, {2, 0, -1, 2, 3}).to(GetParam());
  const auto op = [&](const Inputs& in) { return lookup(rows, in[0]); };
  EXPECT_LT(worst_gradient_error(op, {random({4, 3}, 1)}), kBound);
}

TEST_P(Gradients, ARowThatIsNotThereIsAnError) {
  const Variable w(random({4, 3}, 1));
  for (const float row : {-2.0f, 4.0f, 0.5f}) {
    EXPECT_THROW(lookup(Tensor::of({2}, {0, row}).to(GetParam()), w), Error) << row;
  }
}

TEST_P(Gradients, Activations) {
  for (Activation kind : {Activation::kSilu, Activation::kGelu}) {
    const auto op = [&](const Inputs& in) { return activation(kind, in[0]); };
    EXPECT_LT(worst_gradient_error(op, {random({67}, 1, 2)}), kBound);
  }
}

TEST_P(Gradients, Add) {
  const auto op = [](const Inputs& in) { return add(in[0], add(in[1], in[0])); };
  EXPECT_LT(worst_gradient_error(op, {random({2, 9}, 1), random({2, 9}, 2)}), kBound);
}

TEST_P(Gradients, Attention) {
  for (const auto& [heads, dim] : {std::pair{2, 4}, std::pair{1, 8}, std::pair{3, 5}}) {
    const auto op = [&, h = heads](const Inputs& in) { return attention(in[0], {.heads = h}); };
    EXPECT_LT(worst_gradient_error(op, {random({2, 3, 2, 3 * heads * dim}, 1)}), kBound) << heads;
    const auto with_memory = [&, h = heads](const Inputs& in) {
      return attention(in[0], {.heads = h}, &in[1]);
    };
    EXPECT_LT(worst_gradient_error(with_memory, {random({2, 3, 2, 3 * heads * dim}, 1),
                                                 random({2, heads, 3, dim}, 2)}),
              kBound)
        << heads;
  }
}

TEST_P(Gradients, LinearAttention) {
  for (const auto& [heads, dim] : {std::pair{2, 4}, std::pair{1, 8}, std::pair{3, 5}}) {
    const auto op = [&, h = heads](const Inputs& in) {
      return linear_attention(in[0], {.heads = h});
    };
    EXPECT_LT(worst_gradient_error(op, {random({2, 3, 2, 3 * heads * dim}, 1)}), kBound) << heads;
    const auto with_memory = [&, h = heads](const Inputs& in) {
      return linear_attention(in[0], {.heads = h}, &in[1]);
    };
    EXPECT_LT(worst_gradient_error(with_memory, {random({2, 3, 2, 3 * heads * dim}, 1),
                                                 random({2, heads, dim, 3}, 2)}),
              kBound)
        << heads;
  }
}

// Six positions per image. Cases with fewer and with more channels than that.
TEST_P(Gradients, ProjectedLinearAttention) {
  for (const auto& [heads, dim, channels] :
       {std::tuple{2, 4, 5}, std::tuple{1, 8, 5}, std::tuple{3, 5, 4}, std::tuple{2, 4, 7}}) {
    const auto op = [&, h = heads](const Inputs& in) {
      return linear_attention(in[0], in[1], in[2], in[3], {.heads = h});
    };
    const int64_t hidden = heads * dim;
    EXPECT_LT(worst_gradient_error(op, {random({2, 3, 2, channels}, 1),
                                        random({1, 1, channels, 3 * hidden}, 2, 0.5f),
                                        random({1, 1, hidden, 3}, 3), random({3}, 4)}),
              kBound)
        << heads << " heads of " << dim << ", " << channels << " channels";
    const auto with_memory = [&, h = heads](const Inputs& in) {
      return linear_attention(in[0], in[1], in[2], in[3], {.heads = h}, &in[4]);
    };
    EXPECT_LT(worst_gradient_error(
                  with_memory,
                  {random({2, 3, 2, channels}, 1), random({1, 1, channels, 3 * hidden}, 2, 0.5f),
                   random({1, 1, hidden, 3}, 3), random({3}, 4), random({2, heads, dim, 3}, 5)}),
              kBound)
        << heads << " heads of " << dim << ", " << channels << " channels, with memory";
  }
}

TEST_P(Gradients, Resampling) {
  for (int64_t size : {2, 3}) {
    const auto op = [&](const Inputs& in) { return space_to_depth(in[0], size); };
    EXPECT_LT(worst_gradient_error(op, {random({2, 2 * size, size, 3}, 1)}), kBound) << size;
  }
  const auto up = [](const Inputs& in) { return upsample_nearest(in[0]); };
  EXPECT_LT(worst_gradient_error(up, {random({2, 3, 2, 5}, 1)}), kBound);
  const auto cat = [](const Inputs& in) { return concat_channels(in[0], in[1]); };
  EXPECT_LT(worst_gradient_error(cat, {random({2, 3, 2, 5}, 1), random({2, 3, 2, 3}, 2)}), kBound);
}

// mean_loss() returns a number and not a Variable, so its finite differences are computed here.
void check_loss(LossKind kind, const Tensor& x, const Tensor& target, const Tensor& weights) {
  const Variable prediction = Variable::leaf(x.clone());
  Tape tape;
  Loss loss;
  {
    Tape::Recording recording(tape);
    loss = mean_loss(kind, prediction, target, weights);
  }
  loss.backward(tape);
  const std::vector<float> got = prediction.grad().values();
  Tensor moved = prediction.value();
  for (size_t i = 0; i < got.size(); ++i) {
    const double step = 1e-3;
    const float original = moved.f32()[i];
    // At their kinks, L1 and Huber have no derivative to compare with.
    const double distance = std::abs(original - target.f32()[i]);
    if (kind != LossKind::kMse && (distance < 2 * step || std::abs(distance - 1) < 2 * step))
      continue;
    moved.f32()[i] = static_cast<float>(original + step);
    const double above = mean_loss(kind, prediction, target, weights).value;
    moved.f32()[i] = static_cast<float>(original - step);
    const double below = mean_loss(kind, prediction, target, weights).value;
    moved.f32()[i] = original;
    EXPECT_NEAR((above - below) / (2 * step), got[i], test::Tolerance::kLossGradient) << i;
  }
}

TEST_P(Gradients, Losses) {
  for (LossKind kind : {LossKind::kMse, LossKind::kL1, LossKind::kHuber}) {
    const Tensor x = random({2, 3, 3, 2}, 1, 2), target = random({2, 3, 3, 2}, 2, 2);
    check_loss(kind, x, target, {});
    check_loss(kind, x, target, Tensor::of({2}, {0.25f, 3}, GetParam()));
  }
}

// hybrid_loss() returns a number too. The first half of the channels has the gradient of the plain
// loss, the second that of the bound.
void check_hybrid_loss(LossKind kind, const Tensor& first, const Tensor& target,
                       const Tensor& weights, const Bound& bound) {
  const auto loss_of = [&](const Variable& output, double bound_weight) {
    Bound weighted = bound;
    weighted.weight = bound_weight;
    return hybrid_loss(kind, output, target, weights, weighted);
  };
  const Variable output = Variable::leaf(first.clone());
  Tape tape;
  Loss loss;
  {
    Tape::Recording recording(tape);
    loss = loss_of(output, bound.weight);
  }
  loss.backward(tape);
  const std::vector<float> got = output.grad().values();
  Tensor moved = output.value();
  for (size_t i = 0; i < got.size(); ++i) {
    const bool of_mean = i % 4 < 2;
    const double step = 1e-3, weight = of_mean ? 0 : bound.weight;
    const float original = moved.f32()[i];
    // At their kinks, L1 and Huber have no derivative to compare with.
    const double distance = of_mean ? std::abs(original - target.f32()[i / 4 * 2 + i % 4]) : 0.5;
    if (kind != LossKind::kMse && (distance < 2 * step || std::abs(distance - 1) < 2 * step))
      continue;
    moved.f32()[i] = static_cast<float>(original + step);
    const double above = loss_of(Variable(moved), weight).value;
    moved.f32()[i] = static_cast<float>(original - step);
    const double below = loss_of(Variable(moved), weight).value;
    moved.f32()[i] = original;
    EXPECT_NEAR((above - below) / (2 * step), got[i], test::Tolerance::kLossGradient) << i;
  }
}

TEST_P(Gradients, HybridLoss) {
  const Tensor target = random({3, 2, 3, 2}, 2), weights = Tensor::of({3}, {0.25f, 3, 1});
  Tensor x0 = random({3, 2, 3, 2}, 3, 0.5f);
  // The ends of the range have bins of their own.
  x0.f32()[0] = x0.f32()[1] = -1;
  x0.f32()[2] = x0.f32()[3] = 1;
  const std::vector<BoundLevel> levels = {
      {.scale = -0.02, .log_low = -6, .log_high = -5, .to_image = true},
      {.scale = -0.05, .log_low = -7, .log_high = -5},
      {.scale = -0.5, .log_low = -2, .log_high = -1}};
  for (const LossKind kind : {LossKind::kMse, LossKind::kL1, LossKind::kHuber}) {
    check_hybrid_loss(kind, random({3, 2, 3, 4}, 1), target.to(GetParam()), weights.to(GetParam()),
                      {.x0 = x0.to(GetParam()), .levels = levels, .weight = 0.7});
  }
}

}  // namespace
}  // namespace ddpm
