#include "ddpm/diffusion/spacing.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "ddpm/diffusion/process.h"
#include "ddpm/diffusion/sampler.h"
#include "tests/support/errors.h"

namespace ddpm::test {
namespace {

std::vector<double> times(const Process& process, const std::string& spacing, int64_t count,
                          bool with_first = true) {
  std::vector<double> result;
  for (const NoiseLevel& level :
       spaced_levels(process, spacing, {.count = count, .with_first = with_first}))
    result.push_back(level.t);
  return result;
}

// Halves are rounded to even, where NumPy has them. The numbers are those of
// np.arange(1000, 0, -1000 / 16).round() - 1 and np.linspace(0, 999, n).round().
TEST(Spacing, RoundsAsNumPyDoes) {
  const Process process({});
  const std::vector<double> trailing = times(process, "trailing", 16);
  EXPECT_EQ(std::vector<double>(trailing.begin(), trailing.begin() + 4),
            (std::vector<double>{999, 937, 874, 811}));
  EXPECT_EQ(times(process, "linspace", 5), (std::vector<double>{999, 749, 500, 250, 0}));
  EXPECT_EQ(times(process, "linspace", 4, false), (std::vector<double>{999, 749, 500, 250}));
  EXPECT_EQ(times(process, "linspace", 1), (std::vector<double>{999}));
  EXPECT_EQ(times(process, "leading", 4), (std::vector<double>{750, 500, 250, 0}));
  EXPECT_EQ(times(process, "leading", 4, false), (std::vector<double>{800, 600, 400, 200}));
}

TEST(Spacing, LevelsFallForEveryCount) {
  for (const char* objective : {"eps", "v", "edm", "flow"}) {
    for (const int64_t timesteps : {2, 15, 50, 100}) {
      for (const bool zero_snr : {false, true}) {
        if (zero_snr && objective != std::string("v")) continue;
        const Process process(
            {.timesteps = timesteps, .objective = objective, .zero_snr = zero_snr});
        for (const SpacingKind& kind : spacing_kinds()) {
          for (const bool with_first : {true, false}) {
            for (const int64_t count : {int64_t{1}, int64_t{2}, timesteps - 1, timesteps}) {
              std::vector<double> levels;
              const std::string refused =
                  refusal([&] { levels = times(process, kind.name, count, with_first); });
              if (!refused.empty()) continue;
              ASSERT_EQ(std::ssize(levels), count);
              for (size_t i = 1; i < levels.size(); ++i)
                ASSERT_LT(levels[i], levels[i - 1])
                    << objective << " " << timesteps << " " << kind.name << " " << count;
            }
          }
        }
      }
    }
  }
}

TEST(Spacing, RefusesWhatDoesNotFit) {
  const Process scheduled({.timesteps = 100}), edm({.objective = "edm"});
  EXPECT_EQ(refusal([&] { times(scheduled, "linspace", 100, false); }),
            "[sample] 100 levels, but the spacing linspace has 99 for this sampler and 100 time "
            "steps; choose 1 to 99, or the spacing trailing");
  EXPECT_EQ(refusal([&] { times(edm, "trailing", 5); }),
            "[sample] the spacing trailing counts time steps, which a model of the objective edm "
            "does not have; choose karras, log-snr or tuned");
  EXPECT_NE(refusal([&] { times(scheduled, "even", 5); }).find("there is no spacing 'even'"),
            std::string::npos);
  EXPECT_NE(refusal([&] { times(scheduled, "trailing", 101); }).find("choose 1 to 100"),
            std::string::npos);
  EXPECT_NE(refusal([&] {
              sampling_levels({.sampler = "heun", .spacing = "tuned"}, scheduled);
            }).find("no tuned levels"),
            std::string::npos);
}

// Nothing that a tuned model does not fit is taken from it.
TEST(Spacing, ATunedModelIsTakenWhereItFits) {
  const Process process({});
  const TunedLevels tuned{.sampler = "unipc", .order = 3, .times = {900, 500, 100}};
  const auto sampler = [&](const SamplerOptions& options) {
    return completed(options, process, tuned).sampler;
  };
  EXPECT_EQ(sampler({}), "unipc");
  EXPECT_EQ(completed({}, process, tuned).steps, 3);
  EXPECT_EQ(sampler({.order = 3}), "unipc");
  EXPECT_EQ(sampler({.order = 2}), kDefaultSampler);
  EXPECT_EQ(sampler({.eta = 0.5}), kDefaultSampler);
  EXPECT_EQ(sampler({.steps = 5}), kDefaultSampler);
  EXPECT_EQ(sampler({.spacing = "trailing"}), kDefaultSampler);
}

}  // namespace
}  // namespace ddpm::test
