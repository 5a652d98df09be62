// The options of a process, and which of them fit together.
#include "ddpm/diffusion/process_config.h"

#include <fmt/core.h>

#include <vector>

#include "ddpm/base/error.h"
#include "ddpm/base/options.h"
#include "ddpm/diffusion/objective.h"
#include "ddpm/diffusion/schedule.h"
#include "ddpm/diffusion/time_sampling.h"
#include "ddpm/diffusion/training/pairing.h"
#include "ddpm/diffusion/weighting.h"

namespace ddpm {
namespace {

constexpr double kMost = 1'000'000;

[[noreturn]] void refuse(const std::string& what) { fail_usage("process", what); }

// Throws UsageError unless the objective uses the time steps of a schedule, and there are several.
void check_has_schedule(const char* option, const char* objectives, const ProcessConfig& config) {
  if (find_objective(config.objective).process != ProcessKind::kScheduled) {
    refuse(
        fmt::format("{} is for the time steps of a schedule, which the objective {} does not "
                    "use; leave it out, or choose the objective {}",
                    option, config.objective, objectives));
  }
  if (config.timesteps < 2) {
    refuse(fmt::format("{} needs 2 time steps or more, but timesteps is {}", option,
                       config.timesteps));
  }
}

void check_zero_snr(const ProcessConfig& config) {
  check_has_schedule("zero-snr", "x0 or v", config);
  if (config.objective == "eps") {
    refuse(
        "zero-snr makes the last time step noise alone, and the objective eps cannot tell the "
        "image from noise alone; choose the objective v or x0");
  }
  if (find_weighting(config.weighting).zero_without_image) {
    refuse(
        fmt::format("zero-snr and the weighting {} together would give the last time step, where "
                    "sampling starts, the weight 0, so that it would not be trained; leave one of "
                    "them out",
                    config.weighting));
  }
}

}  // namespace

void ProcessConfig::fields(Fields& field) {
  field.group("The process");
  field("schedule", schedule, "how noise grows over the time steps")
      .choices("schedule", schedule_names())
      .not_in_state_dict();
  field("timesteps", timesteps, "time steps of the noise schedule")
      .range(1, kMostTimesteps)
      .not_in_state_dict();
  field("objective", objective, "what the network learns to predict")
      .choices("objective", objective_names())
      .not_in_state_dict();
  field("zero_snr", zero_snr,
        "scale the schedule so that its last time step is noise alone; for the objectives x0 and v")
      .not_in_state_dict();
  field("learned_variance", learned_variance,
        "also learn how much noise each step of the sampler ddpm adds: twice the output channels; "
        "for the objectives eps, x0 and v")
      .not_in_state_dict();
  field("weighting", weighting,
        "weight of each level of noise in the loss; min-snr gives an error of the image the weight "
        "min(SNR, gamma)")
      .choices("weighting", weighting_names());
  field("min_snr_gamma", min_snr_gamma, "the gamma of the weightings min-snr and soft-min-snr")
      .above(0, kMost)
      .advice("5 is usual");
  field("sigmoid_bias", sigmoid_bias,
        "the bias of the weighting sigmoid: the log SNR above which an error of the noise counts "
        "less than half")
      .range(-100, 100)
      .advice("2 is usual for small pictures");
  field("time_sampling", time_sampling,
        "distribution of the levels of noise in training; auto is log-normal for the objective edm "
        "and uniform for others")
      .choices("time sampling", time_sampling_names());
  field("low_discrepancy", low_discrepancy,
        "spread the levels of noise of each batch evenly over their distribution, so that the loss "
        "varies less");
  field("pairing", pairing,
        "which noise of a batch belongs to which picture: as drawn, or so that the sum of the "
        "distances (immiscible) or of their squares (ot, optimal transport) is least")
      .choices("pairing", pairing_names());
  field("offset_noise", offset_noise,
        "noise that all pixels of a channel share, relative to that of each pixel; helps with very "
        "dark and very bright pictures")
      .range(0, 100)
      .advice("0.1 is usual")
      .not_in_state_dict();
  field("input_perturbation", input_perturbation,
        "further noise on the network's input in training, relative to the noise; the target does "
        "not contain it")
      .range(0, 100)
      .advice("0.1 is usual");
}

void ProcessConfig::check() const {
  const WeightingKind& kind = find_weighting(weighting);
  if (min_snr_gamma != ProcessConfig().min_snr_gamma && !kind.uses_gamma) {
    refuse(
        fmt::format("min-snr-gamma is {}, but the weighting {} has no gamma; leave it out, or "
                    "choose the weighting min-snr or soft-min-snr",
                    min_snr_gamma, weighting));
  }
  if (sigmoid_bias != ProcessConfig().sigmoid_bias && weighting != "sigmoid") {
    refuse(
        fmt::format("sigmoid-bias is {}, but the weighting {} has no bias; leave it out, or choose "
                    "the weighting sigmoid",
                    sigmoid_bias, weighting));
  }
  if (kind.uses_density && timesteps < 2) {
    refuse(fmt::format("the weighting {} needs 2 time steps or more, but timesteps is {}",
                       weighting, timesteps));
  }
  static_cast<void>(find_time_sampling(time_sampling, objective));
  static_cast<void>(find_pairing(pairing));
  if (zero_snr) check_zero_snr(*this);
  if (learned_variance) check_has_schedule("learned-variance", "eps, x0 or v", *this);
}

}  // namespace ddpm
