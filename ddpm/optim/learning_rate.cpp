#include "ddpm/optim/learning_rate.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "ddpm/base/named_rows.h"

namespace ddpm {
namespace {

// p in the header's formulas.
double decayed_at(const RateSchedule& schedule, int64_t step) {
  const int64_t start = schedule.decay_begin();
  if (step <= start || schedule.steps <= start) return 0;
  const auto done = static_cast<double>(step - start);
  return std::min(1.0, done / static_cast<double>(schedule.steps - start));
}

// What the factors are computed from, in the header's letters.
struct Place {
  // s, D and p
  int64_t step, start;
  double decayed;
};

double constant(const Place& /*place*/) { return 1; }

double cosine(const Place& place) { return (1 + std::cos(std::numbers::pi * place.decayed)) / 2; }

double linear(const Place& place) { return 1 - place.decayed; }

double rsqrt(const Place& place) {
  const auto from = static_cast<double>(std::max<int64_t>(place.start, 1));
  return std::sqrt(from / std::max(static_cast<double>(place.step + 1), from));
}

struct NamedSchedule {
  const char* name;
  double (*factor)(const Place& place);
};
const std::vector<NamedSchedule>& schedules() {
  static const std::vector<NamedSchedule> all = {
      {"constant", constant}, {"cosine", cosine}, {"linear", linear}, {"rsqrt", rsqrt}};
  return all;
}

}  // namespace

std::vector<std::string> rate_schedule_names() { return names_of(schedules()); }

double learning_rate_at(const RateSchedule& schedule, int64_t step) {
  return learning_rate_at(schedule, step, decayed_at(schedule, step));
}

double learning_rate_at(const RateSchedule& schedule, int64_t step, double decayed) {
  const double warmup =
      schedule.warmup > 0
          ? std::min(1.0, static_cast<double>(step + 1) / static_cast<double>(schedule.warmup))
          : 1.0;
  const NamedSchedule& named =
      find_by_name(schedules(), schedule.schedule, "train", "schedule of the learning rate");
  return schedule.rate *
         (warmup *
          named.factor({.step = step, .start = schedule.decay_begin(), .decayed = decayed}));
}

}  // namespace ddpm
