#include "ddpm/engine/run/forecast.h"

#include <algorithm>

#include "ddpm/engine/model_config.h"

namespace ddpm {
namespace {

constexpr int64_t kLeastSteps = 3;
constexpr int64_t kFewestAveraged = 8;
constexpr double kLongestStep = 10;
constexpr auto kMostSteps = static_cast<double>(kMostTrainedSteps);

size_t index(RunWork work) { return static_cast<size_t>(work); }

}  // namespace

Forecast::Forecast(const TrainOptions& options, const Sizes& sizes) {
  const RunOptions& run = options.run;
  // Forward passes over pictures, as a number of steps.
  const auto as_steps = [&](int64_t pictures, int64_t passes) {
    return static_cast<double>(pictures) * static_cast<double>(passes) /
           (3 * static_cast<double>(options.optimizer.batch));
  };
  kinds_[index(RunWork::kSave)] = {
      .every = run.save_every, .at_end = true, .seconds = sizes.save_seconds};
  kinds_[index(RunWork::kSnapshot)] = {.every = run.snapshot_every};
  kinds_[index(RunWork::kPowerAverages)] = {
      .every = options.keeps_power_averages() ? run.power_average_every : 0, .at_end = true};
  kinds_[index(RunWork::kGrid)] = {.every = run.sample_every,
                                   .at_end = true,
                                   .computes = true,
                                   .steps = as_steps(run.sample_count, sizes.grid)};
  kinds_[index(RunWork::kEvaluation)] = {.every = run.eval_every,
                                         .at_end = true,
                                         .computes = true,
                                         .steps = as_steps(run.eval_n, sizes.evaluation)};
  kinds_[index(RunWork::kValidation)] = {.every = sizes.validate_every,
                                         .at_end = true,
                                         .computes = true,
                                         .steps = as_steps(sizes.validation, 1)};
}

void Forecast::took(RunWork work, double seconds) {
  if (work != RunWork::kStep) {
    Kind& kind = kinds_[index(work)];
    if (!kind.computes)
      kind.seconds = seconds;
    else if (count_ > 0)
      kind.steps = seconds / seconds_per_step();
    return;
  }
  if (++count_ == 1) {
    first_ = seconds;
    return;
  }
  if (count_ > 2) seconds = std::min(seconds, kLongestStep * mean_);
  // Of all steps at first, and of the last ones when there are enough.
  weight_ = std::min(weight_ + 1, averaged_);
  mean_ += (seconds - mean_) / weight_;
}

void Forecast::average_over(int64_t steps) {
  averaged_ = static_cast<double>(std::max(steps, kFewestAveraged));
}

bool Forecast::is_settled() const { return count_ >= kLeastSteps; }

double Forecast::seconds_per_step() const { return count_ == 1 ? first_ : mean_; }

double Forecast::seconds_between(int64_t done, int64_t last) const {
  const double step = seconds_per_step();
  double seconds = step * static_cast<double>(std::max<int64_t>(last - done, 0));
  for (const Kind& kind : kinds_) {
    if (kind.every == 0) continue;
    // Those after the steps `done` ... last - 1, and the last one.
    const int64_t until = kind.at_end ? last - 1 : last;
    const int64_t times =
        std::max<int64_t>(until / kind.every - (done - 1) / kind.every, 0) + (kind.at_end ? 1 : 0);
    seconds += static_cast<double>(times) * (kind.seconds + kind.steps * step);
  }
  return seconds;
}

std::optional<double> Forecast::seconds_left(int64_t done, int64_t last) const {
  if (!is_settled()) return std::nullopt;
  return seconds_between(done, last);
}

std::optional<int64_t> Forecast::steps_in(double seconds, int64_t done) const {
  if (count_ == 0) return std::nullopt;
  // No step takes less than a microsecond.
  const double step = std::max(seconds_per_step(), 1e-6);
  const double most = std::max(seconds + step / 2, 0.0);
  // The time grows with the steps, so the largest number that fits is found by halving.
  int64_t fits = 0, too_many = static_cast<int64_t>(std::min(most / step, kMostSteps)) + 1;
  while (fits + 1 < too_many) {
    const int64_t middle = fits + (too_many - fits) / 2;
    (seconds_between(done, done + middle) <= most ? fits : too_many) = middle;
  }
  return fits;
}

}  // namespace ddpm
