// Schedules, weights and preconditioning against the code of other projects, in double.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "ddpm/autograd/functions.h"
#include "ddpm/diffusion/noised_batch.h"
#include "ddpm/diffusion/objective.h"
#include "ddpm/diffusion/process.h"
#include "ddpm/diffusion/sampler_test_support.h"
#include "ddpm/diffusion/schedule.h"
#include "ddpm/kernels/variational_bound.h"
#include "tests/support/compare.h"
#include "tests/support/peer_numbers.h"

namespace ddpm::test {
namespace {

constexpr double kBound = Tolerance::kPeerFormula;

// Of every time step.
std::vector<double> of_steps(const Schedule& schedule,
                             const std::function<double(int64_t step)>& value) {
  std::vector<double> values;
  for (int64_t i = 0; i < schedule.steps(); ++i) values.push_back(value(i));
  return values;
}

TEST(Peers, ZeroSnrIsThatOfDiffusers) {
  const PeerNumbers peer("zero_snr");
  for (const auto& [name, theirs] :
       {std::pair{"linear", "linear"}, std::pair{"cosine", "squaredcos_cap_v2"}}) {
    const std::string prefix = std::string("df.") + theirs + ".T1000.";
    const Schedule plain(name, 1000), zero = plain.with_zero_snr();
    const auto alpha_bar = [](const Schedule& s) {
      return of_steps(s, [&](int64_t i) { return s.alpha_bar(i); });
    };
    const auto beta = [](const Schedule& s) {
      return of_steps(s, [&](int64_t i) { return s.beta(i); });
    };
    EXPECT_LT(worst_relative_error(alpha_bar(plain), peer.at(prefix + "alphas_cumprod")), kBound);
    EXPECT_LT(worst_relative_error(beta(plain), peer.at(prefix + "betas")), kBound) << name;
    EXPECT_LT(worst_relative_error(alpha_bar(zero), peer.at(prefix + "zero_snr_alphas_cumprod")),
              kBound)
        << name;
    EXPECT_LT(worst_relative_error(beta(zero), peer.at(prefix + "zero_snr_betas")), kBound) << name;
    EXPECT_EQ(zero.alpha_bar(999), 0);
    EXPECT_EQ(zero.beta(999), 1);
  }
}

TEST(Peers, MinSnrWeightsAreThoseOfLucidrains) {
  const PeerNumbers peer("loss_weights");
  const std::pair<const char*, const char*> objectives[] = {
      {"eps", "pred_noise"}, {"x0", "pred_x0"}, {"v", "pred_v"}};
  for (const auto& [name, timesteps] : {std::pair{"cosine", 100}, std::pair{"linear", 1000}}) {
    const Schedule schedule(name, timesteps);
    for (const auto& [objective, theirs] : objectives) {
      for (const int gamma : {1, 5}) {
        if (gamma == 1 && timesteps == 1000) continue;
        const Process process({.schedule = name,
                               .timesteps = timesteps,
                               .objective = objective,
                               .weighting = "min-snr",
                               .min_snr_gamma = static_cast<double>(gamma)});
        const auto weights = of_steps(
            schedule, [&](int64_t i) { return process.preconditioning(schedule.level(i)).weight; });
        const std::string key = std::string(name) + ".T" + std::to_string(timesteps) + "." +
                                theirs + ".min_snr" + std::to_string(gamma) + ".loss_weight";
        EXPECT_LT(worst_relative_error(weights, peer.at(key)), kBound) << key;
      }
    }
  }
}

TEST(Peers, EdmIsTableOneOfKarras) {
  const PeerNumbers peer("edm_preconditioning");
  const Process process({.objective = "edm"});
  std::vector<double> skip, out, in, loss_weight;
  for (const double sigma : peer.at("sigmas")) {
    const Preconditioning p =
        process.preconditioning({.alpha_squared = 1, .sigma_squared = sigma * sigma});
    skip.push_back(p.c_skip);
    out.push_back(p.c_out);
    in.push_back(p.c_in);
    // Theirs is of the image's error, ours of the output's.
    loss_weight.push_back(p.weight / (p.c_out * p.c_out));
  }
  EXPECT_LT(worst_relative_error(skip, peer.at("sd0.5.c_skip")), kBound);
  EXPECT_LT(worst_relative_error(out, peer.at("sd0.5.c_out")), kBound);
  EXPECT_LT(worst_relative_error(in, peer.at("sd0.5.c_in")), kBound);
  EXPECT_LT(worst_relative_error(loss_weight, peer.at("sd0.5.loss_weight")), kBound);
}

// What the network is told is ln(sigma) / 4, at levels that are walked and levels that are drawn.
TEST(Peers, EdmTellsTheNetworkTheLogarithmOfSigma) {
  const PeerNumbers peer("edm_preconditioning");
  for (const int64_t count : {18, 32, 40}) {
    std::vector<double> sigmas;
    for (const NoiseStep& step : test::steps_of(Process({.objective = "edm"}), count)) {
      sigmas.push_back(step.from.sigma());
      EXPECT_NEAR(step.from.t, std::log(step.from.sigma()) / 4, 1e-12);
    }
    sigmas.push_back(0);
    EXPECT_LT(worst_relative_error(sigmas, peer.at("schedule" + std::to_string(count))), kBound);
  }
  const std::vector<double>& sigmas = peer.at("sigmas");
  for (size_t i = 0; i < sigmas.size(); ++i) {
    EXPECT_NEAR(peer.at("sd0.5.c_noise")[i], std::log(sigmas[i]) / 4, 1e-12);
  }
}

// lucidrains' losses of one given output, T = 100 and the schedule linear: images of 4 x 4 with 3
// channels, one time step each.
constexpr int64_t kChannels = 3, kSide = 4, kImage = kChannels * kSide * kSide;

struct Examples {
  explicit Examples(const ProcessConfig& config) : process(config), schedule("linear", 100) {
    for (const double step : peer.at("t"))
      levels.push_back(schedule.level(static_cast<int64_t>(step)));
  }
  std::vector<double> images(const std::string& key, int64_t channels = kChannels) const {
    return peer.images(key, channels, kSide);
  }
  // Of element i of all images.
  const NoiseLevel& level(size_t i) const { return levels[i / kImage]; }

  PeerNumbers peer = PeerNumbers("losses");
  Process process;
  Schedule schedule;
  std::vector<NoiseLevel> levels;
};

// Without Min-SNR theirs weighs errors of the image by the SNR itself, as with a gamma that is
// never reached.
TEST(Peers, LossesOfEachObjectiveAreThoseOfLucidrains) {
  const std::pair<const char*, const char*> objectives[] = {
      {"eps", "pred_noise"}, {"x0", "pred_x0"}, {"v", "pred_v"}};
  for (const auto& [objective, theirs] : objectives) {
    for (const bool weighted : {false, true}) {
      const Examples given({.timesteps = 100,
                            .objective = objective,
                            .weighting = "min-snr",
                            .min_snr_gamma = weighted ? 5 : 1e6});
      const std::vector<double> x0 = given.images("x0"), noise = given.images("noise"),
                                output = given.images("model_output");
      std::vector<double> losses(given.levels.size()), gradient;
      for (size_t i = 0; i < x0.size(); ++i) {
        const Preconditioning p = given.process.preconditioning(given.level(i));
        const double difference = output[i] - p.target_x0 * x0[i] - p.target_noise * noise[i];
        losses[i / kImage] += p.weight * difference * difference / kImage;
        gradient.push_back(2 * p.weight * difference / static_cast<double>(x0.size()));
      }
      const std::string prefix =
          std::string("ld.") + theirs + (weighted ? ".min_snr5." : ".plain.");
      EXPECT_LT(worst_relative_error(losses, given.peer.at(prefix + "per_example")), kBound)
          << prefix;
      EXPECT_LT(worst_relative_error(gradient, given.images(prefix + "grad_output_of_mean")),
                kBound)
          << prefix;
    }
  }
}

TEST(Peers, TheTargetOfVIsThatOfLucidrains) {
  const Examples given({.timesteps = 100, .objective = "v"});
  const std::vector<double> x0 = given.images("x0"), noise = given.images("noise");
  std::vector<double> target;
  for (size_t i = 0; i < x0.size(); ++i) {
    const Preconditioning p = given.process.preconditioning(given.level(i));
    target.push_back(p.target_x0 * x0[i] + p.target_noise * noise[i]);
  }
  EXPECT_LT(worst_relative_error(target, given.images("v_target")), kBound);
}

// The coefficients of q(x_to | x_from, x0), and what the bound takes from them. Ours for the first
// step differs: theirs is the logarithm of 1e-20, which stands for 0, and ours is that of the next
// step, as in the code of Nichol & Dhariwal. The test of the hybrid loss has an image at that step.
TEST(Peers, ThePosteriorIsThatOfLucidrains) {
  const PeerNumbers peer("loss_weights");
  for (const auto& [name, timesteps] : {std::pair{"cosine", 100}, std::pair{"linear", 1000}}) {
    const Schedule schedule(name, timesteps);
    const Process process(
        {.schedule = name, .timesteps = timesteps, .objective = "x0", .learned_variance = true});
    const auto bound = [&](int64_t i) { return process.bound(schedule.level(i)); };
    const std::string prefix = std::string(name) + ".T" + std::to_string(timesteps) + ".";
    const auto expect = [&](const std::function<double(int64_t step)>& value, const char* theirs) {
      EXPECT_LT(worst_relative_error(of_steps(schedule, value), peer.at(prefix + theirs)), kBound)
          << prefix << theirs;
    };
    expect([&](int64_t i) { return schedule.alpha_bar(i); }, "alphas_cumprod");
    expect([&](int64_t i) { return schedule.step(i).posterior_x0(); }, "posterior_mean_coef1");
    expect([&](int64_t i) { return bound(i).scale; }, "posterior_mean_coef1");
    expect([&](int64_t i) { return schedule.step(i).posterior_variance(); }, "posterior_variance");
    expect([&](int64_t i) { return i == 0 ? std::log(1e-20) : bound(i).log_low; },
           "posterior_log_variance_clipped");
    EXPECT_EQ(bound(0).log_low, bound(1).log_low) << name;
    EXPECT_TRUE(bound(0).to_image && !bound(1).to_image) << name;
  }
}

TEST(Peers, ThePosteriorOfAnImageIsThatOfLucidrains) {
  const Examples given({.timesteps = 100, .objective = "x0", .learned_variance = true});
  const std::vector<double> x0 = given.images("x0"), noise = given.images("noise");
  std::vector<double> mean, variance, log_variance;
  for (size_t i = 0; i < x0.size(); ++i) {
    const NoiseLevel& level = given.level(i);
    const NoiseStep step = given.schedule.step(static_cast<int64_t>(level.t));
    const double x = level.alpha() * x0[i] + level.sigma() * noise[i];
    mean.push_back(step.posterior_x0() * x0[i] + step.posterior_x() * x);
    if (i % kImage != 0) continue;
    variance.push_back(step.posterior_variance());
    const BoundLevel bound = given.process.bound(level);
    log_variance.push_back(bound.to_image ? std::log(1e-20) : bound.log_low);
  }
  EXPECT_LT(worst_relative_error(mean, given.images("q_posterior.mean")), kBound);
  EXPECT_LT(worst_relative_error(variance, given.peer.at("q_posterior.variance")), kBound);
  EXPECT_LT(worst_relative_error(log_variance, given.peer.at("q_posterior.log_variance_clipped")),
            kBound);
}

// The variational bound in bits, which guided-diffusion adds once or T / 1000 times.
TEST(Peers, TheHybridLossIsThatOfGuidedDiffusion) {
  const Examples given({.timesteps = 100, .learned_variance = true});
  const std::vector<double> x0 = given.images("x0"), noise = given.images("noise"),
                            output = given.images("model_output_with_var", 2 * kChannels);
  const double count = static_cast<double>(x0.size());
  for (const auto& [theirs, weight] : {std::pair{"mse", 1.0}, std::pair{"rescaled_mse", 0.1}}) {
    const std::string prefix = std::string("gd.learned_range.") + theirs + ".";
    std::vector<double> errors(given.levels.size()), bounds(errors), losses(errors),
        gradient(output);
    for (size_t i = 0; i < x0.size(); ++i) {
      const size_t mean = i / kChannels * 2 * kChannels + i % kChannels,
                   variance = mean + kChannels;
      const double difference = noise[i] - output[mean];
      const BoundBits term = variational_bound(given.process.bound(given.level(i)), difference,
                                               output[variance], x0[i]);
      errors[i / kImage] += difference * difference / kImage;
      bounds[i / kImage] += weight * term.bits / kImage;
      losses[i / kImage] += (difference * difference + weight * term.bits) / kImage;
      gradient[mean] = -2 * difference / count;
      gradient[variance] = weight * term.slope / count;
    }
    const auto expect = [&](const std::vector<double>& got, const char* name) {
      EXPECT_LT(worst_relative_error(got, given.peer.at(prefix + name)), kBound) << prefix << name;
    };
    expect(errors, "mse.per_example");
    expect(bounds, "vb.per_example");
    expect(losses, "loss.per_example");
    EXPECT_LT(
        worst_relative_error(gradient, given.images(prefix + "grad_output_of_mean", 2 * kChannels)),
        Tolerance::kPeerBoundSlope)
        << prefix;
  }
}

Tensor tensor_of(const std::vector<double>& values, int64_t channels) {
  const int64_t images = static_cast<int64_t>(values.size()) / (channels * kSide * kSide);
  return Tensor::of({images, kSide, kSide, channels},
                    std::vector<float>(values.begin(), values.end()));
}

// The same in float32, through a batch and the tape: what a training step computes.
TEST(Peers, ATrainingStepComputesTheHybridLoss) {
  const Examples given({.timesteps = 100, .learned_variance = true});
  const NoisedBatch batch =
      noised_batch(given.process, given.levels, tensor_of(given.images("x0"), kChannels),
                   tensor_of(given.images("noise"), kChannels));
  const Variable output = Variable::leaf(
      tensor_of(given.images("model_output_with_var", 2 * kChannels), 2 * kChannels));
  Tape tape;
  Loss loss;
  {
    const Tape::Recording recording(tape);
    loss = hybrid_loss(LossKind::kMse, output, batch.target, batch.weights,
                       {.x0 = batch.x0, .levels = batch.bounds, .weight = 0.1});
  }
  loss.backward(tape);
  const std::string prefix = "gd.learned_range.rescaled_mse.";
  double expected = 0;
  for (const double one : given.peer.at(prefix + "loss.per_example")) expected += one / 4;
  EXPECT_NEAR(loss.value / expected, 1, 1e-6);
  const Tensor gradient =
      tensor_of(given.images(prefix + "grad_output_of_mean", 2 * kChannels), 2 * kChannels);
  EXPECT_LT(relative_l2(output.grad(), gradient), Tolerance::kNetworkGradient);
}

}  // namespace
}  // namespace ddpm::test
