#include "ddpm/engine/run/forecast.h"

#include <algorithm>

namespace ddpm {
namespace {

// Of the mean over steps: each step counts less than the one after it by this factor.
constexpr double kDecay = 0.98;
constexpr int64_t kLeastSteps = 3;

size_t index(RunWork work) { return static_cast<size_t>(work); }

}  // namespace

Forecast::Forecast(const TrainOptions& options, const Passes& network_passes)
    : all_steps_(options.optimizer.steps) {
  const RunOptions& run = options.run;
  // Forward passes over pictures, as a number of steps.
  const auto as_steps = [&](int64_t pictures, int64_t passes) {
    return static_cast<double>(pictures) * static_cast<double>(passes) /
           (3 * static_cast<double>(options.optimizer.batch));
  };
  kinds_[index(RunWork::kSave)] = {.every = run.save_every, .at_end = true};
  kinds_[index(RunWork::kSnapshot)] = {.every = run.snapshot_every};
  kinds_[index(RunWork::kPowerAverages)] = {
      .every = options.keeps_power_averages() ? run.power_average_every : 0, .at_end = true};
  kinds_[index(RunWork::kGrid)] = {.every = run.sample_every,
                                   .at_end = true,
                                   .steps = as_steps(run.sample_count, network_passes.grid)};
  kinds_[index(RunWork::kEvaluation)] = {.every = run.eval_every,
                                         .at_end = true,
                                         .steps = as_steps(run.eval_n, network_passes.evaluation)};
  kinds_[index(RunWork::kValidation)] = {.every = network_passes.validate_every,
                                         .at_end = true,
                                         .steps = as_steps(network_passes.validation, 1)};
}

void Forecast::took(RunWork work, double seconds) {
  if (work != RunWork::kStep) {
    kinds_[index(work)].seconds = seconds;
    return;
  }
  if (++count_ == 1) return;
  sum_ = kDecay * sum_ + seconds;
  weight_ = kDecay * weight_ + 1;
}

std::optional<double> Forecast::seconds_left(int64_t done) const {
  if (count_ < kLeastSteps) return std::nullopt;
  const double step = sum_ / weight_;
  double seconds = step * static_cast<double>(std::max<int64_t>(all_steps_ - done, 0));
  for (const Kind& kind : kinds_) {
    if (kind.every == 0) continue;
    // Those after the steps `done` ... all_steps_ - 1, and the last one.
    const int64_t last = kind.at_end ? all_steps_ - 1 : all_steps_;
    const int64_t times =
        std::max<int64_t>(last / kind.every - (done - 1) / kind.every, 0) + (kind.at_end ? 1 : 0);
    seconds += static_cast<double>(times) * kind.seconds.value_or(kind.steps * step);
  }
  return seconds;
}

}  // namespace ddpm
