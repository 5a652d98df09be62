// What Muon and SOAP share and promise, besides agreeing with PyTorch (reference_test.cpp).
#include <gtest/gtest.h>

#include <cmath>

#include "ddpm/optim/algebra.h"
#include "ddpm/optim/muon.h"
#include "ddpm/optim/soap.h"
#include "ddpm/optim/update_options.h"
#include "tests/support/compare.h"
#include "tests/support/errors.h"
#include "tests/support/gradients.h"
#include "tests/support/threads.h"

namespace ddpm {
namespace {

using test::random_tensor;
using test::relative_l2;

Tensor transposed(const Tensor& x) {
  Tensor y({x.size(1), x.size(0)});
  for (int64_t i = 0; i < x.size(0); ++i) {
    for (int64_t j = 0; j < x.size(1); ++j) y.f32()[j * x.size(0) + i] = x.f32()[i * x.size(1) + j];
  }
  return y;
}

TEST(Orthogonalized, SingularValuesComeNearOne) {
  for (const Shape& shape : {Shape{7, 7}, Shape{5, 40}, Shape{40, 5}, Shape{1, 9}}) {
    const Tensor x = orthogonalized(random_tensor(shape, 3, 1e-3f));
    const Tensor small =
        shape[0] < shape[1] ? product_with_transposed(x, x) : product_of_transposed(x, x);
    const Tensor basis = eigenbasis(small);
    // Its diagonal has the squares of the singular values.
    const Tensor squares = product_of_transposed(basis, matrix_product(small, basis));
    for (int64_t i = 0; i < small.size(0); ++i) {
      const double value = std::sqrt(squares.f32()[i * small.size(0) + i]);
      EXPECT_GT(value, 0.6) << shape.str();
      EXPECT_LT(value, 1.25) << shape.str();
    }
  }
}

TEST(Orthogonalized, OfTheTransposeIsTheTranspose) {
  for (const Shape& shape : {Shape{6, 20}, Shape{20, 6}}) {
    const Tensor x = random_tensor(shape, 5);
    EXPECT_LT(relative_l2(orthogonalized(transposed(x)), transposed(orthogonalized(x))),
              test::Tolerance::kBlock);
  }
}

TEST(Orthogonalized, ZeroStaysZero) {
  EXPECT_EQ(norm_of(orthogonalized(Tensor::zeros({3, 4}))), 0);
}

TEST(SoapBasis, TurningBackReversesTurning) {
  const Tensor x = random_tensor({3, 2, 5, 4}, 1);
  for (const SoapAxis axis : kSoapAxes) {
    const Tensor gram = gram_of(x, axis);
    const Tensor basis = eigenbasis(gram);
    const Tensor turned = rotated(x, axis, basis);
    EXPECT_LT(relative_l2(rotated_back(turned, axis, basis), x), test::Tolerance::kBlock);
    // In the eigenbasis the Gram matrix is diagonal, the largest value first.
    const Tensor diagonal = gram_of(turned, axis);
    const int64_t n = diagonal.size(0);
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        if (i != j) {
          EXPECT_NEAR(diagonal.f32()[i * n + j], 0, 1e-5 * norm_of(gram));
        }
      }
      if (i > 0) {
        EXPECT_LE(diagonal.f32()[i * n + i], diagonal.f32()[(i - 1) * n + i - 1]);
      }
    }
    // Power iteration leaves an eigenbasis as it is, but for signs.
    const BasisChange next = next_basis({axis, gram, basis});
    const Tensor change = product_of_transposed(basis, next.basis);
    for (int64_t i = 0; i < n; ++i) {
      EXPECT_EQ(next.order[static_cast<size_t>(i)], i);
      EXPECT_NEAR(std::abs(change.f32()[i * n + i]), 1, 1e-5);
    }
  }
}

TEST(SoapBasis, ColumnsComeInTheOrderOfTheirEigenvalues) {
  SoapBasis swapped{SoapAxis::kOutputs, Tensor::of({2, 2}, {1, 0, 0, 4}),
                    Tensor::of({2, 2}, {1, 0, 0, 1})};
  const BasisChange next = next_basis(swapped);
  EXPECT_EQ(next.order, (std::vector<int64_t>{1, 0}));
  EXPECT_NEAR(std::abs(next.basis.f32()[2]), 1, 1e-6);
  Tensor x = Tensor::of({1, 1, 1, 2}, {3, 5});
  permute(x, SoapAxis::kOutputs, next.order);
  EXPECT_EQ(x.values(), (std::vector<float>{5, 3}));
}

// An optimizer and its parameters: a filter and a matrix between others, and a bias.
struct Training {
  explicit Training(const std::string& optimizer) {
    UpdateOptions options{.optimizer = optimizer, .precondition_every = 2};
    const auto add = [&](const Shape& shape, ParameterRole role) {
      parameters.push_back({Variable::leaf(random_tensor(shape, parameters.size())), role});
    };
    add({3, 3, 2, 8}, ParameterRole::kOuter);
    add({3, 3, 8, 12}, ParameterRole::kInner);
    add({16, 24}, ParameterRole::kInner);
    add({12}, ParameterRole::kOther);
    made = make_optimizer(parameters, options,
                          {.learning_rate = 0.01, .clip_norm = 1, .ema_decay = 0.9});
  }
  void step() {
    for (size_t i = 0; i < parameters.size(); ++i) {
      const auto seed = static_cast<uint64_t>(100 * (made->steps() + 1)) + i;
      parameters[i].variable.slot()->accumulate(
          random_tensor(parameters[i].variable.shape(), seed));
    }
    made->step(made->gradient_norm());
  }
  std::vector<std::vector<float>> weights_and_averages() const {
    std::vector<std::vector<float>> all;
    for (const OptimizedParameter& parameter : parameters)
      all.push_back(parameter.variable.value().values());
    for (const Tensor& average : made->ema()) all.push_back(average.values());
    return all;
  }

  std::vector<OptimizedParameter> parameters;
  std::unique_ptr<Optimizer> made;
};

class EveryOptimizer : public ::testing::TestWithParam<std::string> {};

TEST_P(EveryOptimizer, BitsDoNotDependOnTheThreads) {
  const test::ThreadsScope scope(1);
  Training one(GetParam());
  for (int i = 0; i < 6; ++i) one.step();
  set_num_threads(3);
  Training three(GetParam());
  for (int i = 0; i < 6; ++i) three.step();
  EXPECT_EQ(three.weights_and_averages(), one.weights_and_averages());
}

TEST_P(EveryOptimizer, GoesOnExactlyFromItsState) {
  Training whole(GetParam()), other(GetParam());
  for (int i = 0; i < 3; ++i) whole.step();
  for (size_t i = 0; i < whole.parameters.size(); ++i) {
    other.parameters[i].variable.value().copy_from(whole.parameters[i].variable.value());
    Tensor(other.made->ema()[i]).copy_from(whole.made->ema()[i]);
  }
  const std::vector<StateTensor> from = whole.made->state(), to = other.made->state();
  ASSERT_EQ(from.size(), to.size());
  for (size_t k = 0; k < from.size(); ++k) {
    EXPECT_EQ(from[k].prefix, to[k].prefix);
    Tensor(to[k].tensor).copy_from(from[k].tensor);
  }
  other.made->set_steps(3);
  for (int i = 0; i < 5; ++i) {
    whole.step();
    other.step();
  }
  EXPECT_EQ(other.weights_and_averages(), whole.weights_and_averages());
}

TEST_P(EveryOptimizer, AllWeightsMoveAndAveragesFollow) {
  Training training(GetParam());
  const auto before = training.weights_and_averages();
  training.step();
  training.step();
  const auto after = training.weights_and_averages();
  for (size_t i = 0; i < before.size(); ++i) EXPECT_NE(after[i], before[i]) << i;
}

INSTANTIATE_TEST_SUITE_P(All, EveryOptimizer, ::testing::ValuesIn(optimizer_names()),
                         [](const auto& test) { return test.param; });

TEST(Soap, TheFirstGradientOnlyGivesTheBases) {
  Training training("soap");
  const std::vector<float> filter = training.parameters[1].variable.value().values();
  const std::vector<float> bias = training.parameters[3].variable.value().values();
  training.step();
  EXPECT_EQ(training.parameters[1].variable.value().values(), filter);
  EXPECT_NE(training.parameters[3].variable.value().values(), bias);
}

TEST(Soap, NoAxisBelowTheLimitIsAdamW) {
  UpdateOptions soap{.optimizer = "soap", .beta1 = 0.9, .beta2 = 0.9, .precondition_limit = 2};
  UpdateOptions adamw{.optimizer = "adamw", .beta1 = 0.9, .beta2 = 0.9};
  std::vector<std::vector<float>> results;
  for (const UpdateOptions& options : {soap, adamw}) {
    const Variable w = Variable::leaf(random_tensor({5, 7}, 1));
    const auto optimizer = make_optimizer({{w, ParameterRole::kInner}}, options, {});
    for (uint64_t step = 0; step < 3; ++step) {
      w.slot()->accumulate(random_tensor({5, 7}, 10 + step));
      optimizer->step(0);
    }
    results.push_back(w.value().values());
  }
  EXPECT_EQ(results[0], results[1]);
}

TEST(UpdateOptions, AreRefusedWhereTheyWouldDoNothing) {
  UpdateOptions options;
  options.check();
  options.momentum = 0.9;
  EXPECT_EQ(test::refusal([&] { options.check(); }),
            "[train] --momentum is not used by the optimizer adam, but by muon");
  options = {.weight_decay = 0.1};
  EXPECT_EQ(test::refusal([&] { options.check(); }),
            "[train] --weight-decay is not used by the optimizer adam, but by adamw, muon or soap");
  options.optimizer = "muon";
  options.check();
  options.optimizer = "sgd";
  EXPECT_NE(test::refusal([&] { options.check(); }).find("there is no optimizer 'sgd'"),
            std::string::npos);
}

TEST(UpdateOptions, ChooseTheOptimizersOwnBetas) {
  const auto betas = [](const UpdateOptions& options) {
    const AdamOptions made = make_optimizer({}, options, {})->options();
    return std::vector<double>{made.beta1, made.beta2, made.weight_decay};
  };
  EXPECT_EQ(betas({}), (std::vector<double>{0.9, 0.999, 0}));
  EXPECT_EQ(betas({.optimizer = "adamw"}), (std::vector<double>{0.9, 0.999, 0.01}));
  EXPECT_EQ(betas({.optimizer = "soap"}), (std::vector<double>{0.95, 0.95, 0.01}));
  EXPECT_EQ(betas({.optimizer = "muon", .beta2 = 0.99}), (std::vector<double>{0.9, 0.99, 0.01}));
}

}  // namespace
}  // namespace ddpm
