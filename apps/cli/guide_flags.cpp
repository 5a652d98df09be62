#include "apps/cli/guide_flags.h"

#include <fmt/core.h>

#include <algorithm>

#include "apps/cli/output.h"

namespace ddpm::cli {
namespace {

void warn(const std::string& text) { say("warning: " + text + "\n"); }

}  // namespace

void GuideFlags::declare(Flags& flags) {
  flags.add("guide", path,
            "a worse model of the same pictures, such as RUN@STEP or a smaller network, that the "
            "model is guided away from; --guidance is then 1.5 if it is not given",
            "MODEL");
}

std::unique_ptr<const Model> GuideFlags::load(const Flags& flags, Device device,
                                              GenerateOptions& options) const {
  if (path.empty()) return nullptr;
  auto guide = std::make_unique<const Model>(load_model(path, device));
  options.guide = guide.get();
  if (!flags.given("guidance")) options.guidance = kUsualAutoguidance;
  return guide;
}

void warn_of_idle_guidance(const Flags& flags, const GenerateOptions& options, const Model& model) {
  const bool of_no_class =
      !options.labels.empty() &&
      std::all_of(options.labels.begin(), options.labels.end(), [](int64_t l) { return l < 0; });
  if (options.guide == nullptr && flags.given("guidance") && of_no_class)
    warn("--guidance changes nothing for pictures of no class (--class none)");
  if (options.guide != nullptr && options.guide->path == model.path)
    warn("--guide is the model itself, so it changes nothing; give an earlier or a smaller model");
  const bool none = options.guidance == 1;
  if (options.guide != nullptr && none)
    warn(fmt::format("--guide changes nothing with --guidance 1; {} is usual", kUsualAutoguidance));
  if (options.guidance_rescale != 0 && (none || (options.guidance == 0 && !options.guide))) {
    warn(
        fmt::format("--guidance-rescale changes nothing with --guidance {}, which adds no contrast",
                    options.guidance));
  }
  if (!options.guidance_interval.empty() && none)
    warn("--guidance-interval changes nothing with --guidance 1, which guides nowhere");
}

}  // namespace ddpm::cli
