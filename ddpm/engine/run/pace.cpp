#include "ddpm/engine/run/pace.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "ddpm/base/error.h"
#include "ddpm/engine/model_config.h"

namespace ddpm {
namespace {

// A plan holds for at most this share of the budget, and this share of the time that is left.
constexpr double kOfBudget = 0.01, kOfTimeLeft = 0.1;
// Before the time of steps is known well, it is used only if the end is this near.
constexpr int64_t kNear = 2;
// The save and the grid at the end cannot be cut short, and a machine may become busy meanwhile. So
// this share of their time is kept besides it, but at most this share of the budget.
constexpr double kKeptOfEnd = 0.25, kKeptOfBudget = 0.01;
// The speed is measured over this share of all steps.
constexpr int64_t kPartsOfSteps = 32;

}  // namespace

Pace::Line Pace::Line::read(const JsonObject& object) {
  const Line line{.step = value_in<int64_t>(object, "step"),
                  .elapsed = value_in<double>(object, "elapsed"),
                  .budget = value_in<double>(object, "budget"),
                  .progress = value_in<double>(object, "progress"),
                  .steps_left = value_in<int64_t>(object, "steps_left")};
  // Seconds of a hundred years.
  constexpr double kLongest = 3.2e9;
  const auto is_count = [](int64_t count) { return count >= 0 && count <= kMostTrainedSteps; };
  if (!is_count(line.step) || !is_count(line.steps_left) || !(line.elapsed >= 0) ||
      !(line.elapsed <= kLongest) || !(line.budget > 0 && line.budget <= kLongest) ||
      !(line.progress >= 0 && line.progress <= 1))
    fail("train", "a line of clock.jsonl has values that cannot be");
  return line;
}

JsonObject Pace::Line::json() const {
  return {{"step", json_value::write(step)},
          {"elapsed", json_value::write(elapsed)},
          {"budget", json_value::write(budget)},
          {"progress", json_value::write(progress)},
          {"steps_left", json_value::write(steps_left)}};
}

Pace::Pace(std::string path, std::optional<double> budget)
    : budget_(budget), log_(std::move(path)) {
  damaged_ = log_.read([this](const JsonObject& object) { use(Line::read(object)); });
}

void Pace::use(const Line& line) {
  lines_.erase(lines_.lower_bound(line.step), lines_.end());
  lines_[line.step] = line;
  elapsed_ = line.elapsed;
}

void Pace::add(int64_t step, double elapsed, double progress, int64_t steps_left) {
  const Line line{.step = step,
                  // To milliseconds, for those who read the file.
                  .elapsed = std::round(elapsed * 1000) / 1000,
                  .budget = *budget_,
                  .progress = steps_left > 0 ? std::clamp(progress, 0.0, 1.0) : 1,
                  .steps_left = std::clamp<int64_t>(steps_left, 0, kMostTrainedSteps - step)};
  log_.append(line.json());
  use(line);
}

std::string Pace::text() const {
  std::string text;
  for (const auto& [step, line] : lines_) text += line.json().dump(-1) + '\n';
  return text;
}

int64_t Pace::last_step() const { return newest().step + newest().steps_left; }

double Pace::budget_before() const { return newest().budget; }

const Pace::Line* Pace::line_at(int64_t step) const {
  const auto after = lines_.upper_bound(step);
  return after == lines_.begin() ? nullptr : &std::prev(after)->second;
}

double Pace::progress(int64_t step) const {
  const Line* line = line_at(step);
  if (line == nullptr) return 0;
  if (line->steps_left == 0) return 1;
  const double share =
      static_cast<double>(step - line->step) / static_cast<double>(line->steps_left);
  return line->progress + (1 - line->progress) * std::min(share, 1.0);
}

double Pace::decayed(int64_t start, int64_t step) const {
  const Line* now = line_at(step);
  if (step <= start || now == nullptr) return 0;
  // With another budget the same steps are another share of the training.
  const Line* then = line_at(start);
  const double before =
      then == nullptr ? 0 : std::min(progress(start) * then->budget / now->budget, 1.0);
  return before < 1 ? std::clamp((progress(step) - before) / (1 - before), 0.0, 1.0) : 0;
}

void Pace::plan(int64_t step, double elapsed, Forecast& forecast) {
  if (!budget_ || (has_plan() && step >= last_step())) return;
  const double end = forecast.seconds_left(step, step).value_or(0);
  const double left = *budget_ - elapsed - std::min(kKeptOfEnd * end, kKeptOfBudget * *budget_);
  // Without a measured step, all so far were skipped.
  const std::optional<int64_t> fit = left > 0 ? forecast.steps_in(left, step) : 0;
  const bool settled = forecast.is_settled();
  const double age = has_plan() ? elapsed - newest().elapsed : 0;
  if (!fit || (!settled && *fit > kNear)) {
    // The plan stays, but the time is written.
    if (age >= kOfBudget * *budget_) close(step, elapsed);
    return;
  }
  if (settled && settled_ && has_plan()) {
    const double most = std::min(kOfBudget * *budget_, kOfTimeLeft * std::max(left - end, 0.0));
    if (age < most) return;
  }
  settled_ = settled;
  const double done = static_cast<double>(step) / static_cast<double>(step + *fit);
  add(step, elapsed, has_plan() ? progress(step) : done, *fit);
  forecast.average_over(last_step() / kPartsOfSteps);
}

void Pace::require_plan(int64_t step, double elapsed, const Forecast& forecast) {
  if (!budget_ || has_plan()) return;
  const double left = std::max(*budget_ - elapsed, 0.0);
  const double rate = static_cast<double>(step) / std::max(elapsed, 1e-6);
  const int64_t fit = forecast.steps_in(left, step).value_or(std::llround(left * rate));
  add(step, elapsed, static_cast<double>(step) / static_cast<double>(step + fit), fit);
}

// As the newest plan has it that can tell, or the mean so far. A plan near the end cannot: its time
// is mostly that of the last save and grid.
double Pace::steps_per_second() const {
  constexpr double kFarFromEnd = 0.1;
  for (auto each = lines_.rbegin(); each != lines_.rend(); ++each) {
    const Line& line = each->second;
    if (line.steps_left > 0 && line.budget - line.elapsed >= kFarFromEnd * line.budget)
      return static_cast<double>(line.steps_left) / (line.budget - line.elapsed);
  }
  return static_cast<double>(newest().step) / std::max(newest().elapsed, 1e-6);
}

void Pace::go_on_from(int64_t step, double elapsed) {
  if (!budget_ || !has_plan()) return;
  const double budget = *budget_, before = newest().budget;
  if (step >= last_step() && before == budget) return;
  double done = progress(step);
  // More time makes what is done a smaller share. Less time makes it a larger one, but not the
  // whole while there is time left.
  if (const Line* line = line_at(step); line != nullptr && line->budget != budget)
    done = std::min(done * line->budget / budget, elapsed / budget);
  const double most = static_cast<double>(kMostTrainedSteps);
  const double fit = std::min(steps_per_second() * std::max(budget - elapsed, 0.0), most);
  settled_ = false;
  add(step, elapsed, done, std::max<int64_t>(std::llround(fit), step == 0 ? 1 : 0));
}

void Pace::close(int64_t step, double elapsed) {
  if (!budget_ || !has_plan()) return;
  add(step, elapsed, progress(step), std::max<int64_t>(last_step() - step, 0));
}

}  // namespace ddpm
