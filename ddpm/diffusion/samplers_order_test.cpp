// How fast the samplers come closer to the exact flow, and which of them are the same.
//
// The slope of dpmpp-3m falls to 2 in the end: the term of its second derivative has half the
// factor of a Taylor expansion, here as in the program of its authors. Its error is a third of
// dpmpp-2m's.
//
// The weights of ipndm are those of levels that are even in sigma / alpha, and on others its order
// is at most 2. samplers/ipndm_test.cpp tests its orders 3 and 4 on even levels.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "ddpm/base/threads.h"
#include "ddpm/diffusion/mixture_test_support.h"
#include "ddpm/diffusion/sampler_test_support.h"

namespace ddpm::test {
namespace {

Tensor drawn(const ProcessConfig& config, const SamplerOptions& sampling, int64_t images = 8) {
  set_num_threads(1);
  const Process process(config);
  const Mixture mixture;
  SampleRequest request;
  request.sampling = sampling;
  request.image = {kSide, kSide, kChannels};
  request.image_seeds = image_seeds(5, 0, images);
  return sample(process, denoiser(process, mixture), request);
}

struct Order {
  const char* name;
  SamplerOptions sampling;
  double least, most;
};

class SamplersOrder : public testing::TestWithParam<Order> {};

// The slope of the error over the number of steps, on levels that are even in the logarithm of the
// SNR. Of Heun's method two evaluations are a step.
TEST_P(SamplersOrder, IsTheSlopeOfTheError) {
  const ProcessConfig edm{.objective = "edm"};
  const SamplerOptions fine{.sampler = "heun", .steps = 1999, .spacing = "log-snr", .clip = "none"};
  static const Tensor exact = drawn(edm, fine);
  const auto error = [&](int64_t levels) {
    SamplerOptions sampling = GetParam().sampling;
    sampling.steps = find_sampler(sampling.sampler).two_evaluations ? 2 * levels - 1 : levels;
    sampling.spacing = "log-snr";
    sampling.clip = "none";
    return relative_error(drawn(edm, sampling), exact);
  };
  const double slope = std::log2(error(81) / error(161));
  EXPECT_GT(slope, GetParam().least);
  EXPECT_LT(slope, GetParam().most);
}

INSTANTIATE_TEST_SUITE_P(
    All, SamplersOrder,
    testing::Values(Order{"ddim", {.sampler = "ddim"}, 0.8, 1.2},
                    Order{"euler", {.sampler = "euler"}, 0.8, 1.2},
                    Order{"dpmpp_2m", {.sampler = "dpmpp-2m"}, 1.8, 2.3},
                    Order{"dpmpp_3m", {.sampler = "dpmpp-3m"}, 2.2, 3.4},
                    Order{"dpmpp_2m_sde_eta0", {.sampler = "dpmpp-2m-sde", .eta = 0}, 1.8, 2.3},
                    Order{"ipndm_1", {.sampler = "ipndm", .order = 1}, 0.8, 1.2},
                    Order{"ipndm_2", {.sampler = "ipndm", .order = 2}, 1.8, 2.3},
                    Order{"unipc_1", {.sampler = "unipc", .order = 1}, 1.8, 2.3},
                    Order{"unipc_2", {.sampler = "unipc", .order = 2}, 2.7, 3.4},
                    Order{"unipc_3", {.sampler = "unipc", .order = 3}, 3.5, 4.5},
                    Order{"heun", {.sampler = "heun"}, 1.8, 2.3}),
    [](const testing::TestParamInfo<Order>& info) { return std::string(info.param.name); });

// DDIM, Euler's method and every multistep sampler of order 1 take the same steps.
TEST(SamplersIdentities, OrderOneIsDdim) {
  for (const char* objective : {"eps", "v", "edm", "flow"}) {
    const ProcessConfig config{.objective = objective};
    const std::string spacing = objective == std::string("edm") ? "karras" : "trailing";
    const auto by = [&](const char* sampler, int64_t order, double eta) {
      return drawn(
          config,
          {.sampler = sampler, .steps = 12, .order = order, .eta = eta, .spacing = spacing});
    };
    const Tensor ddim = by("ddim", 0, 0);
    EXPECT_LT(relative_error(by("ipndm", 1, -1), ddim), 5e-6) << objective;
    EXPECT_LT(relative_error(by("dpmpp-2m", 1, -1), ddim), 5e-6) << objective;
    EXPECT_LT(relative_error(by("dpmpp-3m", 1, -1), ddim), 5e-6) << objective;
    EXPECT_LT(relative_error(by("dpmpp-2m-sde", 1, 0), ddim), 5e-6) << objective;
    EXPECT_LT(relative_error(by("euler-ancestral", 0, 0), ddim), 1e-4) << objective;
    EXPECT_LT(relative_error(by("euler", 0, -1), ddim), 1e-4) << objective;
  }
}

TEST(SamplersIdentities, HigherOrdersDiffer) {
  const auto by = [&](const char* sampler, int64_t order) {
    return drawn({}, {.sampler = sampler, .steps = 12, .order = order, .spacing = "trailing"});
  };
  const Tensor ddim = by("ddim", 0);
  for (const char* sampler : {"ipndm", "dpmpp-2m", "dpmpp-3m", "unipc"})
    EXPECT_GT(relative_error(by(sampler, 2), ddim), 1e-3) << sampler;
}

// Song et al. 2020, section 4.2: DDIM with eta 1 between neighbouring steps draws from the
// posterior of DDPM (Ho et al. 2020, equations 6 and 7).
TEST(SamplersIdentities, DdimWithEtaOneIsThePosterior) {
  const auto by = [&](const char* sampler, double eta, int64_t steps) {
    return drawn({.timesteps = 100},
                 {.sampler = sampler, .steps = steps, .eta = eta, .spacing = "linspace"});
  };
  EXPECT_LT(relative_error(by("ddim", 1, 100), by("ddpm", -1, 100)), 1e-5);
  EXPECT_LT(relative_error(by("dpmpp-2m-sde", 0, 20), by("dpmpp-2m", -1, 20)), 1e-6);
}

}  // namespace
}  // namespace ddpm::test
