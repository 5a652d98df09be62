#include "ddpm/engine/guide_check.h"

#include <fmt/core.h>

#include <algorithm>
#include <string>

#include "ddpm/base/error.h"
#include "ddpm/diffusion/objective.h"
#include "ddpm/engine/model.h"

namespace ddpm {
namespace {

// Refuses what differs from the model.
class Comparison {
 public:
  explicit Comparison(const Model& guide)
      : guide_(guide.path.empty() ? "the guide" : fmt::format("the guide {}", guide.path)) {}

  template <class Value>
  void same(const char* what, const Value& of_guide, const Value& of_model) const {
    if (of_guide == of_model) return;
    refuse(fmt::format("has {} {}, but the model {}", what, of_guide, of_model));
  }
  [[noreturn]] void refuse(const std::string& what) const {
    fail_usage("sample", fmt::format("{} {}; a snapshot of the model's own run (RUN@STEP) fits, or "
                                     "a smaller network that was trained with the same options",
                                     guide_, what));
  }

 private:
  const std::string guide_;
};

// The levels of noise, and what the network predicts at each.
void check_process(const Comparison& compare, const ProcessConfig& guide,
                   const ProcessConfig& model) {
  compare.same("the objective", guide.objective, model.objective);
  const ProcessKind kind = find_objective(model.objective).process;
  if (kind == ProcessKind::kScheduled) {
    compare.same("the schedule", guide.schedule, model.schedule);
    compare.same("zero-snr", guide.zero_snr, model.zero_snr);
  }
  if (kind != ProcessKind::kEdm) compare.same("timesteps", guide.timesteps, model.timesteps);
  compare.same("offset-noise", guide.offset_noise, model.offset_noise);
}

void check_classes(const Comparison& compare, const ModelConfig& guide, const ModelConfig& model) {
  const int64_t classes = guide.network.classes();
  if (classes == 0) return;
  compare.same("classes:", classes, model.network.classes());
  if (guide.class_names.empty() || model.class_names.empty()) return;
  const auto differ = std::mismatch(guide.class_names.begin(), guide.class_names.end(),
                                    model.class_names.begin(), model.class_names.end());
  if (differ.first == guide.class_names.end()) return;
  const int64_t label = differ.first - guide.class_names.begin();
  compare.refuse(fmt::format("calls class #{} '{}', but the model '{}'", label, *differ.first,
                             *differ.second));
}

}  // namespace

void check_guide(const ModelConfig& model, const Model& guide, int64_t height, int64_t width) {
  const Comparison compare(guide);
  if (!guide.network) fail_usage("sample", "the guide has no network");
  const ModelConfig& other = guide.config;
  compare.same("channels:", other.network.channels(), model.network.channels());
  check_process(compare, other.process, model.process);
  const int64_t halves = other.process.learned_variance ? 2 : 1;
  if (other.network.output_channels() != halves * other.network.channels())
    compare.refuse(fmt::format("has {} output channels, which sampling cannot use",
                               other.network.output_channels()));
  check_classes(compare, other, model);
  if (other.condition != "none") {
    compare.same("the condition", other.condition, model.condition);
    compare.same("condition channels:", other.network.condition_channels(),
                 model.network.condition_channels());
  }
  try {
    other.network.check_image(height, width);
  } catch (const UsageError& error) {
    compare.refuse(
        fmt::format("cannot draw {}x{}: {}", height, width, without_place(error.what())));
  }
}

}  // namespace ddpm
