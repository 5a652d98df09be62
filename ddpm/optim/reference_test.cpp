// Optimizers and averages against PyTorch and NumPy (bench/pytorch/optimizers.py).
#include <gtest/gtest.h>

#include <cmath>
#include <memory>

#include "ddpm/base/philox.h"
#include "ddpm/optim/averages.h"
#include "ddpm/optim/optimizer.h"
#include "ddpm/optim/post_hoc.h"
#include "ddpm/optim/update_options.h"
#include "tests/support/compare.h"
#include "tests/support/peer_numbers.h"

namespace ddpm {
namespace {

constexpr uint64_t kSeed = 1711;
constexpr int64_t kSteps = 20;

// A parameter, with the axes of PyTorch's order.
struct Given {
  std::string name;
  std::vector<int64_t> shape;
  ParameterRole role;
};
const std::vector<Given> kParameters = {{"first", {6, 2, 3, 3}, ParameterRole::kOuter},
                                        {"filter", {8, 6, 3, 3}, ParameterRole::kInner},
                                        {"pointwise", {12, 5, 1, 1}, ParameterRole::kInner},
                                        {"square", {8, 8}, ParameterRole::kInner},
                                        {"tall", {24, 6}, ParameterRole::kInner},
                                        {"bias", {8}, ParameterRole::kOther}};

int64_t extent(const Given& given, size_t axis) {
  return axis < given.shape.size() ? given.shape[axis] : 1;
}

// [O, I, kh, kw] -> [kh, kw, I, O], [out, in] -> [in, out]
Tensor in_our_order(const Given& given, const std::vector<double>& values) {
  const int64_t outputs = extent(given, 0), inputs = extent(given, 1);
  const int64_t taps = extent(given, 2) * extent(given, 3);
  std::vector<float> ours(values.size());
  for (int64_t o = 0; o < outputs; ++o) {
    for (int64_t i = 0; i < inputs; ++i) {
      for (int64_t t = 0; t < taps; ++t) {
        ours[static_cast<size_t>((t * inputs + i) * outputs + o)] =
            static_cast<float>(values[static_cast<size_t>((o * inputs + i) * taps + t)]);
      }
    }
  }
  if (given.shape.size() == 4)
    return Tensor::of({given.shape[2], given.shape[3], inputs, outputs}, ours);
  if (given.shape.size() == 2) return Tensor::of({inputs, outputs}, ours);
  return Tensor::of({outputs}, ours);
}

std::vector<double> random_values(const Given& given, uint64_t stream) {
  int64_t count = 1;
  for (const int64_t n : given.shape) count *= n;
  std::vector<float> values(static_cast<size_t>(count));
  Philox(kSeed, stream).normal(0, count, values.data());
  return {values.begin(), values.end()};
}

// The script's random numbers for a step, scaled along every axis.
std::vector<double> noise_of(const Given& given, size_t index, int64_t step) {
  std::vector<double> noise =
      random_values(given, 1000 * static_cast<uint64_t>(step) + static_cast<uint64_t>(index));
  for (size_t k = 0; k < noise.size(); ++k) {
    auto rest = static_cast<int64_t>(k);
    for (size_t axis = given.shape.size(); axis-- > 0;) {
      noise[k] /= 1 + static_cast<double>(rest % given.shape[axis]);
      rest /= given.shape[axis];
    }
  }
  return noise;
}

struct Made {
  std::vector<OptimizedParameter> parameters;
  std::unique_ptr<Optimizer> optimizer;
};

Made make(const UpdateOptions& options) {
  Made made;
  for (size_t i = 0; i < kParameters.size(); ++i) {
    const Tensor value = in_our_order(kParameters[i], random_values(kParameters[i], i));
    made.parameters.push_back({Variable::leaf(value), kParameters[i].role});
  }
  made.optimizer = make_optimizer(made.parameters, options, {.learning_rate = 0.01});
  return made;
}

void do_step(Made& made, int64_t step) {
  for (size_t i = 0; i < kParameters.size(); ++i) {
    Tensor gradient = in_our_order(kParameters[i], noise_of(kParameters[i], i, step));
    const Tensor& weight = made.parameters[i].variable.value();
    for (int64_t k = 0; k < gradient.elements(); ++k)
      gradient.f32()[k] = static_cast<float>(gradient.f32()[k] + 0.1 * weight.f32()[k]);
    made.parameters[i].variable.slot()->accumulate(gradient);
  }
  made.optimizer->step(0);
}

class Reference : public ::testing::TestWithParam<UpdateOptions> {};

TEST_P(Reference, WeightsAfterTwentyStepsAreThoseOfPyTorch) {
  const test::PeerNumbers peers("optimizers");
  Made made = make(GetParam());
  for (int64_t step = 1; step <= kSteps; ++step) do_step(made, step);
  for (size_t i = 0; i < kParameters.size(); ++i) {
    const Given& given = kParameters[i];
    const Tensor want = in_our_order(given, peers.at(GetParam().optimizer + "." + given.name));
    EXPECT_LT(test::relative_l2(made.parameters[i].variable.value(), want),
              test::Tolerance::kOptimizer)
        << given.name;
  }
}

INSTANTIATE_TEST_SUITE_P(All, Reference,
                         ::testing::Values(UpdateOptions{.optimizer = "adam"},
                                           UpdateOptions{.optimizer = "adamw", .weight_decay = 0.1},
                                           UpdateOptions{.optimizer = "muon", .weight_decay = 0.1},
                                           UpdateOptions{.optimizer = "soap",
                                                         .weight_decay = 0.1,
                                                         .precondition_every = 4,
                                                         .precondition_limit = 9}),
                         [](const auto& test) { return test.param.optimizer; });

// The weights of the random walk after `step` steps.
std::vector<float> walk_step(int64_t step, std::vector<double>& position) {
  std::vector<float> change(position.size());
  Philox(kSeed, 1'000'000 + static_cast<uint64_t>(step))
      .normal(0, static_cast<int64_t>(change.size()), change.data());
  for (size_t i = 0; i < position.size(); ++i) position[i] += change[i] / 16;
  return {position.begin(), position.end()};
}

TEST(Averages, OfEveryWidthAreMadeFromSnapshotsAsInNumPy) {
  const test::PeerNumbers peers("optimizers");
  const std::vector<double> widths = {0.05, 0.1};
  Variable weights = Variable::leaf(Tensor::zeros({16}));
  Averages averages({weights}, {.widths = widths});
  std::vector<double> position(16);
  std::vector<PowerProfile> stored;
  std::vector<Tensor> snapshots;
  for (int64_t step = 0; step < 400; ++step) {
    weights.value().copy_from(Tensor::of({16}, walk_step(step, position)));
    averages.update((step + 1) * 32, 32);
    for (size_t k = 0; (step + 1) % 50 == 0 && k < widths.size(); ++k) {
      stored.push_back({32.0 * static_cast<double>(step + 1), power_gamma(widths[k])});
      snapshots.push_back(averages.values(k)[0].clone());
    }
  }
  const auto expect_near = [&](const Tensor& got, const std::string& key) {
    const std::vector<double>& want = peers.at(key);
    EXPECT_LT(test::relative_l2(got, Tensor::of({16}, {want.begin(), want.end()})),
              test::Tolerance::kOptimizer)
        << key;
  };
  expect_near(averages.values(0)[0], "power.0.05");
  expect_near(averages.values(1)[0], "power.0.1");
  const auto made = [&](double width) {
    const std::vector<double> coefficients =
        post_hoc_coefficients(stored, {32.0 * 400, power_gamma(width)});
    std::vector<double> total(16);
    for (size_t k = 0; k < stored.size(); ++k) add_scaled(coefficients[k], snapshots[k], total);
    return Tensor::of({16}, {total.begin(), total.end()});
  };
  expect_near(made(0.07), "post_hoc.0.07");
  expect_near(made(0.15), "post_hoc.0.15");
}

TEST(PostHoc, CoefficientsAreThoseOfNumPy) {
  const test::PeerNumbers peers("optimizers");
  std::vector<PowerProfile> stored;
  for (const double width : {0.05, 0.1}) {
    for (int time = 50; time <= 400; time += 50) stored.push_back({1.0 * time, power_gamma(width)});
  }
  for (const double width : {0.07, 0.15}) {
    const std::vector<double> got = post_hoc_coefficients(stored, {400, power_gamma(width)});
    const std::vector<double>& want =
        peers.at(width == 0.07 ? "coefficients.0.07" : "coefficients.0.15");
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < want.size(); ++i)
      EXPECT_NEAR(got[i], want[i], test::Tolerance::kPeerFormula) << width << " " << i;
  }
}

TEST(PostHoc, ExponentsAreThePapers) {
  const std::vector<double> want = test::PeerNumbers("optimizers").at("gammas");
  const std::vector<double> widths = {0.02, 0.05, 0.1, 0.2};
  for (size_t i = 0; i < widths.size(); ++i)
    EXPECT_NEAR(power_gamma(widths[i]), want[i], test::Tolerance::kPeerFormula * want[i]);
}

}  // namespace
}  // namespace ddpm
