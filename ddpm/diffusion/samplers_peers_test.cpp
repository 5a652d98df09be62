// The samplers against those of diffusers, k-diffusion, lucidrains and the published algorithm of
// EDM, from recorded noise, with the exact denoiser of a mixture of Gaussians.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "ddpm/base/threads.h"
#include "ddpm/diffusion/mixture_test_support.h"
#include "ddpm/diffusion/sampler_test_support.h"
#include "tests/support/peer_numbers.h"

namespace ddpm::test {
namespace {

// Draws or states [K, N, C, H, W] as K tensors [N, H, W, C].
std::vector<Tensor> tensors(const std::vector<double>& values) {
  constexpr size_t kAll = kImages * kSize;
  std::vector<Tensor> result;
  for (size_t begin = 0; begin < values.size(); begin += kAll) {
    Tensor one({kImages, kSide, kSide, kChannels});
    for (int64_t i = 0; i < kImages * kSize; ++i) {
      one.f32()[i / kSize * kSize + place(i % kSize)] =
          static_cast<float>(values[begin + static_cast<size_t>(i)]);
    }
    result.push_back(one);
  }
  return result;
}

struct PeerRun {
  const char* name;
  ProcessConfig process;
  SamplerOptions sampling;
  // The states of the peer are those after every second evaluation.
  bool each_step = false;
};

const ProcessConfig kEps{}, kX0{.objective = "x0"}, kV{.objective = "v"},
    kZeroSnr{.objective = "v", .zero_snr = true}, kEdm{.objective = "edm"},
    kFlow{.objective = "flow"};

class SamplersOfPeers : public testing::TestWithParam<PeerRun> {};

TEST_P(SamplersOfPeers, GoThroughTheSameStates) {
  set_num_threads(1);
  const PeerRun& run = GetParam();
  const PeerNumbers peer("samplers");
  const std::vector<Tensor> wanted = tensors(peer.at(std::string(run.name) + ".x"));
  const Process process(run.process);
  const Mixture mixture;
  SampleRequest request;
  request.sampling = run.sampling;
  request.image = {kSide, kSide, kChannels};
  request.noise = tensors(peer.at(std::string(run.name) + ".noise"));
  std::vector<Tensor> states;
  request.progress = [&](const SampleProgress& progress) {
    if (!run.each_step || progress.step % 2 == 0 || progress.step == progress.steps)
      states.push_back(progress.x->clone());
    return true;
  };
  const Tensor images = sample(process, denoiser(process, mixture), request);
  EXPECT_LT(relative_error(images, wanted.back()), 1e-5);
  // Of a run with churn the file has the start and the end.
  if (states.size() != wanted.size()) {
    ASSERT_EQ(wanted.size(), 2u);
    return;
  }
  for (size_t i = 0; i < states.size(); ++i)
    EXPECT_LT(relative_error(states[i], wanted[i]), 1e-5) << "state " << i;
}

INSTANTIATE_TEST_SUITE_P(
    Peers, SamplersOfPeers,
    testing::Values(
        PeerRun{"df_ddim.eta0_noclip", kEps, {"ddim", 10, 0, 0, "", "leading", "none"}},
        PeerRun{"df_ddim.eta0_clipped_model_output", kEps, {"ddim", 10, 0, 0, "", "leading"}},
        PeerRun{"df_ddim.eta1_clipped_model_output", kEps, {"ddim", 10, 0, 1, "", "leading"}},
        PeerRun{"df_ddim.v", kV, {"ddim", 10, 0, 0, "", "leading", "none"}},
        PeerRun{
            "df_ddim.zero_snr_trailing_v", kZeroSnr, {"ddim", 10, 0, 0, "", "trailing", "none"}},
        PeerRun{"ld_gaussian_diffusion.ddim10_eta0_eps_linear",
                kEps,
                {"ddim", 10, 0, 0, "", "trailing"}},
        PeerRun{"ld_gaussian_diffusion.ddim10_eta05_x0_cosine",
                {.schedule = "cosine", .objective = "x0"},
                {"ddim", 10, 0, 0.5, "", "trailing"}},
        PeerRun{"ld_gaussian_diffusion.ddim10_eta1_v_sigmoid",
                {.schedule = "sigmoid", .objective = "v"},
                {"ddim", 10, 0, 1, "", "trailing"}},
        PeerRun{"ld_gaussian_diffusion.ddpm_full20_eps_cosine",
                {.schedule = "cosine", .timesteps = 20},
                {"ddpm", 20}},
        PeerRun{"ld_gaussian_diffusion.ddpm_full20_v_sigmoid",
                {.schedule = "sigmoid", .timesteps = 20, .objective = "v"},
                {"ddpm", 20}},
        PeerRun{"df_ddpm.small_leading", kEps, {"ddpm", 10, 0, -1, "", "leading"}},
        PeerRun{"df_ddpm.small_linspace_x0", kX0, {"ddpm", 10, 0, -1, "", "linspace"}},
        PeerRun{"df_ddpm.v_cosine_noclip",
                {.schedule = "cosine", .objective = "v"},
                {"ddpm", 8, 0, -1, "", "leading", "none"}},
        PeerRun{"df_ddpm.zero_snr_trailing_v", kZeroSnr, {"ddpm", 10, 0, -1, "", "trailing"}},
        PeerRun{"df_dpm.pp1", kEps, {"dpmpp-2m", 10, 1, -1, "", "linspace", "none"}},
        PeerRun{"df_dpm.pp2_midpoint_10", kEps, {"dpmpp-2m", 10, 2, -1, "", "linspace", "none"}},
        PeerRun{"df_dpm.pp2_midpoint_20", kEps, {"dpmpp-2m", 20, 0, -1, "", "linspace", "none"}},
        PeerRun{"df_dpm.pp2_karras", kEps, {"dpmpp-2m", 10, 0, -1, "", "karras", "none"}},
        PeerRun{"df_dpm.pp2_trailing_v", kV, {"dpmpp-2m", 10, 0, -1, "", "trailing", "none"}},
        PeerRun{"df_dpm.pp2_leading_x0", kX0, {"dpmpp-2m", 10, 0, -1, "", "leading", "none"}},
        PeerRun{"df_dpm.pp3", kEps, {"dpmpp-3m", 12, 0, -1, "", "linspace", "none"}},
        PeerRun{"df_dpm.sde_pp2", kEps, {"dpmpp-2m-sde", 10, 0, -1, "", "linspace", "none"}},
        PeerRun{"df_edm_dpmsolver.pp2_18", kEdm, {"dpmpp-2m", 18, 0, -1, "", "karras", "none"}},
        PeerRun{
            "kdiffusion.dpmpp_2m.karras10", kEdm, {"dpmpp-2m", 10, 0, -1, "", "karras", "none"}},
        PeerRun{
            "kdiffusion.dpmpp_2m.karras18", kEdm, {"dpmpp-2m", 18, 0, -1, "", "karras", "none"}},
        PeerRun{"df_unipc.bh2_2", kEps, {"unipc", 10, 2, -1, "", "linspace", "none"}},
        PeerRun{"df_unipc.bh2_2_karras", kEps, {"unipc", 10, 2, -1, "", "karras", "none"}},
        PeerRun{"df_unipc.bh2_3", kEps, {"unipc", 10, 3, -1, "", "linspace", "none"}},
        PeerRun{"df_unipc.bh2_2_v_trailing", kV, {"unipc", 10, 2, -1, "", "trailing", "none"}},
        PeerRun{"df_heun.linspace", kEps, {"heun", 19, 0, -1, "", "linspace", "none"}},
        PeerRun{"df_heun.karras", kEps, {"heun", 19, 0, -1, "", "karras", "none"}},
        PeerRun{"df_heun.trailing_v", kV, {"heun", 15, 0, -1, "", "trailing", "none"}},
        PeerRun{"df_heun.clip", kEps, {"heun", 19, 0, -1, "", "linspace", "static"}},
        PeerRun{"edm_heun.det18", kEdm, {"heun", 35, 0, -1, "", "karras", "none"}, true},
        PeerRun{"edm_heun.churn18",
                kEdm,
                {"heun", 35, 0, -1, "40,0.05,50,1.003", "karras", "none"},
                true},
        PeerRun{"kdiffusion.heun.karras10", kEdm, {"heun", 19, 0, -1, "", "karras", "none"}, true},
        PeerRun{"kdiffusion.heun.karras10.churn",
                kEdm,
                {"heun", 20, 0, -1, "4,0.05,50,1.003", "karras", "none"}},
        PeerRun{"edm_heun.det18_euler_only", kEdm, {"euler", 18, 0, -1, "", "karras", "none"}},
        PeerRun{"kdiffusion.euler.karras10", kEdm, {"euler", 10, 0, -1, "", "karras", "none"}},
        PeerRun{"df_edm_euler.karras18", kEdm, {"euler", 18, 0, -1, "", "karras", "none"}},
        PeerRun{"df_edm_euler.exponential", kEdm, {"euler", 10, 0, -1, "", "log-snr", "none"}},
        PeerRun{"df_euler.linspace", kEps, {"euler", 10, 0, -1, "", "linspace", "none"}},
        PeerRun{"df_euler.trailing", kEps, {"euler", 10, 0, -1, "", "trailing", "none"}},
        PeerRun{"df_euler.karras", kEps, {"euler", 10, 0, -1, "", "karras", "none"}},
        PeerRun{"df_euler.v", kV, {"euler", 10, 0, -1, "", "linspace", "none"}},
        PeerRun{"df_flow_match_euler.shift1", kFlow, {"euler", 10, 0, -1, "", "linspace", "none"}},
        PeerRun{"df_flow_match_euler.karras", kFlow, {"euler", 10, 0, -1, "", "karras", "none"}},
        PeerRun{"df_euler_ancestral.linspace",
                kEps,
                {"euler-ancestral", 10, 0, 1, "", "linspace", "none"}},
        PeerRun{"df_euler_ancestral.trailing_v",
                kV,
                {"euler-ancestral", 10, 0, -1, "", "trailing", "none"}},
        PeerRun{"df_euler_ancestral.leading",
                kEps,
                {"euler-ancestral", 10, 0, -1, "", "leading", "none"}}),
    [](const testing::TestParamInfo<PeerRun>& info) {
      std::string name = info.param.name;
      std::replace(name.begin(), name.end(), '.', '_');
      return name;
    });

}  // namespace
}  // namespace ddpm::test
