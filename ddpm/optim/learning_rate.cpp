#include "ddpm/optim/learning_rate.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "ddpm/base/named_rows.h"

namespace ddpm {
namespace {

// p in the header's formulas.
double progress(const RateSchedule& schedule, int64_t start, int64_t step) {
  if (step <= start || schedule.steps <= start) return 0;
  const auto done = static_cast<double>(step - start);
  return std::min(1.0, done / static_cast<double>(schedule.steps - start));
}

double constant(const RateSchedule& /*schedule*/, int64_t /*start*/, int64_t /*step*/) { return 1; }

double cosine(const RateSchedule& schedule, int64_t start, int64_t step) {
  return (1 + std::cos(std::numbers::pi * progress(schedule, start, step))) / 2;
}

double linear(const RateSchedule& schedule, int64_t start, int64_t step) {
  return 1 - progress(schedule, start, step);
}

double rsqrt(const RateSchedule& /*schedule*/, int64_t start, int64_t step) {
  const auto from = static_cast<double>(std::max<int64_t>(start, 1));
  return std::sqrt(from / std::max(static_cast<double>(step + 1), from));
}

struct NamedSchedule {
  const char* name;
  double (*factor)(const RateSchedule& schedule, int64_t start, int64_t step);
};
const std::vector<NamedSchedule>& schedules() {
  static const std::vector<NamedSchedule> all = {
      {"constant", constant}, {"cosine", cosine}, {"linear", linear}, {"rsqrt", rsqrt}};
  return all;
}

}  // namespace

std::vector<std::string> rate_schedule_names() { return names_of(schedules()); }

double learning_rate_at(const RateSchedule& schedule, int64_t step) {
  const double warmup =
      schedule.warmup > 0
          ? std::min(1.0, static_cast<double>(step + 1) / static_cast<double>(schedule.warmup))
          : 1.0;
  const int64_t start = std::max(schedule.decay_start, schedule.warmup);
  const NamedSchedule& named =
      find_by_name(schedules(), schedule.schedule, "train", "schedule of the learning rate");
  return schedule.rate * (warmup * named.factor(schedule, start, step));
}

}  // namespace ddpm
