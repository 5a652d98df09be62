#include "apps/cli/common.h"

#include <fmt/core.h>

#include <algorithm>

#include "apps/cli/classes.h"
#include "apps/cli/job.h"
#include "apps/cli/output.h"
#include "ddpm/base/error.h"
#include "ddpm/base/options.h"
#include "ddpm/base/text.h"
#include "ddpm/base/threads.h"
#include "ddpm/data/source.h"
#include "ddpm/diffusion/process.h"
#include "ddpm/diffusion/sampler.h"
#include "ddpm/diffusion/sampler_kind.h"
#include "ddpm/diffusion/schedule.h"
#include "ddpm/diffusion/spacing.h"
#include "ddpm/nn/network.h"

namespace ddpm::cli {

void Machine::declare(Flags& flags) {
  flags.add("threads", threads, "processor threads, 0 for all cores");
  flags.add("device", device, "cpu: fast; ref: plain loops that define every operation", "cpu|ref");
}

Device Machine::checked() const {
  check_range("threads", "--threads", threads, 0, 4096);
  for (const Device known : {Device::kCpu, Device::kRef}) {
    if (device == name_of(known)) return known;
  }
  fail_usage("device", fmt::format("there is no device '{}'; choose cpu or ref", device));
}

Device Machine::apply() const {
  const Device chosen = checked();
  if (threads > 0) set_num_threads(static_cast<int>(threads));
  return chosen;
}

Device Machine::apply_to_rank() const {
  const Device chosen = checked();
  set_threads(threads);
  return chosen;
}

void ModelFlags::declare(Flags& flags) {
  flags.positional("MODEL", path, kModelHelp);
  flags.add("weights", weights,
            "of MODEL: average, their moving average; raw, those of the optimizer, which only "
            "checkpoints hold",
            "average|raw");
  for (const NetworkFamily& family : network_families()) {
    configs_.push_back({.network = family.defaults()});
  }
  for (size_t i = 0; i < configs_.size(); ++i) {
    const size_t before = declared_.size();
    for (const Field& field : fields_of(configs_[i])) {
      const auto same = [&](const Declared& other) { return other.field == field.name(); };
      if (!field.in_state_dict() && std::none_of(declared_.begin(), declared_.end(), same)) {
        declared_.push_back({field.name(), i});
      }
    }
    const std::vector<Declared> own(declared_.begin() + static_cast<std::ptrdiff_t>(before),
                                    declared_.end());
    flags.add_fields(
        configs_[i],
        [&](const Field& field) {
          return std::any_of(own.begin(), own.end(),
                             [&](const Declared& each) { return each.field == field.name(); });
        },
        "For files without this information (bare state dicts)");
  }
}

WeightKind ModelFlags::weight_kind() const {
  if (weights == "average") return WeightKind::kAverage;
  if (weights == "raw") return WeightKind::kRaw;
  fail_usage("model", fmt::format("there are no weights '{}'; choose average or raw", weights));
}

JsonObject ModelFlags::given(const Flags& flags) const {
  JsonObject given;
  for (const Declared& each : declared_) {
    if (flags.given(flag_name(each.field))) {
      given.set(each.field, fields_of(configs_[each.family]).find(each.field)->json());
    }
  }
  return given;
}

Model ModelFlags::load(const Flags& flags, Device device) const {
  return load_model(path, device, given(flags), weight_kind());
}

void check_range(const char* command, const char* flag, int64_t value, int64_t lowest,
                 int64_t highest) {
  if (value >= lowest && value <= highest) return;
  fail_usage(command, fmt::format("{} is {}; it must be {} to {}", flag, value, lowest, highest));
}

void check_sampling_flags(const char* command, const Flags& flags, const SamplerOptions& sampling) {
  const auto refuse = [&](const char* flag, const std::string& is, const char* range) {
    fail_usage(command, fmt::format("--{} is {}; it must be {}. Leave it out for the sampler's own",
                                    flag, is, range));
  };
  if (flags.given("steps") && sampling.steps < 1)
    refuse("steps", std::to_string(sampling.steps), "at least 1");
  if (flags.given("order") && sampling.order < 1)
    refuse("order", std::to_string(sampling.order), "at least 1");
  const auto is_noisy = [&](const SamplerKind& kind) {
    return kind.name == sampling.sampler && kind.always_noisy;
  };
  if (flags.given("eta") && std::ranges::any_of(sampler_kinds(), is_noisy)) {
    fail_usage(command, fmt::format("--eta {}: the sampler {} always adds all of its noise; leave "
                                    "it out, or choose the sampler ddim",
                                    sampling.eta, sampling.sampler));
  }
  if (flags.given("eta") && !(sampling.eta >= 0 && sampling.eta <= 1))
    refuse("eta", fmt::format("{}", sampling.eta), "from 0 to 1");
}

void complete_sampling(SamplerOptions& options, const ModelConfig& config) {
  const bool left_to_us = options.sampler == "auto" && options.spacing == "auto";
  const Process process(config.process);
  options = completed(options, process, config.tuned);
  // Refuses levels that cannot be, before any work.
  sampling_levels(options, process, config.tuned);
  if (config.tuned.times.empty() || !left_to_us || options.spacing == "tuned") return;
  say(
      fmt::format("warning: the model is tuned for {} levels of the sampler {}; with these flags "
                  "its levels are not used\n",
                  config.tuned.times.size(), config.tuned.sampler));
}

void list_samplers(Flags& flags) {
  std::vector<std::pair<std::string, std::string>> samplers, spacings;
  for (const SamplerKind& kind : sampler_kinds()) samplers.emplace_back(kind.name, kind.help);
  for (const SpacingKind& kind : spacing_kinds()) spacings.emplace_back(kind.name, kind.help);
  flags.list("Samplers", samplers);
  flags.list("Spacings", spacings);
}

std::vector<std::pair<std::string, std::string>> source_rows() {
  std::vector<std::pair<std::string, std::string>> rows;
  for (const SourceKind& kind : source_kinds()) rows.emplace_back(kind.form, kind.about);
  return rows;
}

std::string describe(const LoadReport& report, const Pictures& pictures, size_t most_named) {
  const ImageSize size = pictures.image_size();
  std::string text =
      fmt::format("{} picture{} of {}x{} with {} channel{} from {}\n", pictures.size(),
                  plural(pictures.size()), size.height, size.width, pictures.channels(),
                  plural(pictures.channels()), printable(pictures.name()));
  text += describe_classes(report.labels, most_named);
  if (!report.note.empty()) text += printable(report.note) + "\n";
  const size_t skipped = report.skipped.size();
  if (skipped == 0) return text;
  text += fmt::format("skipped {} file{}:\n", skipped, plural(static_cast<int64_t>(skipped)));
  for (size_t i = 0; i < std::min(skipped, most_named); ++i) {
    text += fmt::format("  {}: {}\n", printable(report.skipped[i].path),
                        printable(report.skipped[i].reason));
  }
  if (skipped > most_named) {
    text += fmt::format("  and {} more; 'ddpm data' lists all\n", skipped - most_named);
  }
  return text;
}

std::string short_number(double value, const std::string& unit) {
  std::string prefix;
  for (const char* next : {"k", "M", "G", "T", "P"}) {
    if (value < 999.5) break;
    value /= 1000;
    prefix = next;
  }
  const std::string whole = prefix + unit;
  return fmt::format("{:.3g}{}{}", value, whole.empty() ? "" : " ", whole);
}

}  // namespace ddpm::cli
