// How a session comes to the end of its run: after a number of steps, or by the clock.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <optional>
#include <string>

#include "ddpm/base/duration.h"
#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/engine/budget.h"
#include "ddpm/engine/run/session.h"
#include "ddpm/optim/learning_rate.h"

namespace ddpm {
namespace {

// The clock of a training that is to be repeated. Throws UsageError if the file is none.
Pace read_clock(const std::string& file) {
  const auto refuse = [&](const std::string& why) {
    fail_usage("train", fmt::format("--budget is repeat:{0}, but {0} {1}", file, why));
  };
  const std::string where =
      "; the file is clock.jsonl in the directory of the run that is repeated";
  const std::optional<FileStatus> found = find_file(file);
  if (!found) refuse("does not exist" + where);
  if (found && found->type == FileType::kFolder) {
    const std::string inside = in_run(file, "clock.jsonl");
    if (!exists(inside)) refuse("is a folder without a clock.jsonl" + where);
    refuse("is a folder; the clock.jsonl in it would work: --budget repeat:" + inside);
  }
  Pace pace(file, std::nullopt);
  if (!pace.has_plan()) refuse("has no line of a clock.jsonl" + where);
  return pace;
}

}  // namespace

double RunSession::now() const {
  if (observer_.clock) return observer_.clock();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - opened_).count();
}

int64_t RunSession::last_step() const {
  if (!pace_) return options_.optimizer.steps;
  return pace_->has_plan() ? pace_->last_step() : kMostTrainedSteps;
}

// 0 before there is a plan.
int64_t RunSession::planned_steps() const { return pace_ && !pace_->has_plan() ? 0 : last_step(); }

// The share of the training that is done.
double RunSession::progress() const {
  if (done()) return 1;
  if (pace_) return pace_->progress(steps());
  return static_cast<double>(steps()) / static_cast<double>(last_step());
}

std::optional<double> RunSession::elapsed() const {
  if (!pace_ || !pace_->budget()) return std::nullopt;
  return elapsed_before_ + now();
}

std::optional<double> RunSession::seconds_left() const {
  if (const std::optional<double> so_far = elapsed())
    return std::max(*pace_->budget() - *so_far, 0.0);
  return forecast_.seconds_left(steps(), last_step());
}

// How much of its fall the learning rate has behind it, if the clock decides.
std::optional<double> RunSession::decayed() const {
  if (!pace_) return std::nullopt;
  return pace_->decayed(options_.optimizer.rate_schedule().decay_begin(), steps());
}

double RunSession::learning_rate_of_next_step() const {
  return learning_rate_at(options_.optimizer.rate_schedule(), steps(), decayed().value_or(0));
}

// Reads what the end depends on. Nothing is written yet.
void RunSession::open_pace() {
  const std::optional<Budget> budget = parse_budget(options_.optimizer.budget);
  if (!budget) return;
  if (!is_new_) {
    pace_.emplace(in_run(directory_, "clock.jsonl"), budget->seconds);
  } else if (!budget->seconds) {
    pace_.emplace(read_clock(budget->repeated));
  }
}

// After the checkpoint was loaded: without its lines a run does not know what it has done.
void RunSession::require_lines_of_clock() const {
  if (!pace_ || pace_->has_plan() || (steps() == 0 && pace_->budget())) return;
  fail("train", fmt::format("{0} has lost its clock.jsonl, which tells how much of its budget is "
                            "used. Put it back to resume the run, or start a new one in another "
                            "directory",
                            directory_));
}

// Goes on with what open_pace() has read, or starts the clock of a new run.
void RunSession::begin_pace() {
  const std::string file = in_run(directory_, "clock.jsonl");
  // A run that was stopped before its first save may have left one.
  if (is_new_ && exists(file)) remove_file(file);
  if (pace_ && pace_->damaged_lines() > 0)
    warn(fmt::format("clock.jsonl is damaged; lines left out: {}", pace_->damaged_lines()));
  if (is_new_) {
    if (pace_) write_file_atomic(file, pace_->text());
    const std::optional<Budget> budget = parse_budget(options_.optimizer.budget);
    if (budget) pace_.emplace(file, budget->seconds);
  } else if (pace_) {
    elapsed_before_ = pace_->elapsed_before();
    go_on_by_the_clock();
  }
  follow_plan();
}

void RunSession::go_on_by_the_clock() {
  if (!elapsed() || !pace_->has_plan()) return;
  const double before = pace_->budget_before(), rate_before = learning_rate_of_next_step();
  pace_->go_on_from(steps(), *elapsed());
  if (done()) {
    warn(
        fmt::format("the budget of {} is used up after step {}, so no more steps are done; a "
                    "larger --budget gives the run more time",
                    duration_text(*pace_->budget()), steps()));
    return;
  }
  if (steps() == 0 && *elapsed() >= *pace_->budget()) {
    warn(
        fmt::format("the budget of {} is used up although no step was saved, so only one step is "
                    "done; a larger --budget gives the run more time",
                    duration_text(*pace_->budget())));
  }
  const double rate = learning_rate_of_next_step();
  if (before == *pace_->budget() || rate == rate_before || steps() == 0) return;
  warn(
      fmt::format("with a budget of {} instead of {}, the {} schedule gives step {} the learning "
                  "rate {:.3g} instead of {:.3g}",
                  duration_text(*pace_->budget()), duration_text(before),
                  options_.optimizer.lr_schedule, steps() + 1, rate, rate_before));
}

// `before`: of the session before this one.
void RunSession::warn_of_new_end(const OptimizerOptions& before) const {
  if (pace_) return;
  const OptimizerOptions& now = options_.optimizer;
  if (now.steps < steps()) {
    warn(fmt::format("the run has already done {} steps, more than the {} asked for", steps(),
                     now.steps));
  }
  const bool falls_to_the_end = now.lr_schedule == "cosine" || now.lr_schedule == "linear";
  if (!falls_to_the_end || now.steps == before.steps || steps() == 0) return;
  const auto rate = [&](const OptimizerOptions& options) {
    return learning_rate_at(options.rate_schedule(), std::min(steps(), options.steps - 1));
  };
  warn(
      fmt::format("with {} steps instead of {}, the {} schedule gives step {} the learning rate "
                  "{:.3g} instead of {:.3g}",
                  now.steps, before.steps, now.lr_schedule, steps() + 1, rate(now), rate(before)));
}

// After each step: how many are left.
void RunSession::plan_rest() {
  if (const std::optional<double> so_far = elapsed()) pace_->plan(steps(), *so_far, forecast_);
  follow_plan();
}

// The run has gone back to an earlier step.
void RunSession::plan_again() {
  if (const std::optional<double> so_far = elapsed()) pace_->go_on_from(steps(), *so_far);
  follow_plan();
}

// Before a save, so that a run which continues from it knows what was done.
void RunSession::save_pace() {
  if (!pace_) return;
  if (const std::optional<double> so_far = elapsed())
    pace_->require_plan(steps(), *so_far, forecast_);
  pace_->sync();
  follow_plan();
}

void RunSession::close_pace() {
  const std::optional<double> so_far = elapsed();
  // A complete run that is only opened again stays as it is.
  if (!so_far || (steps() == first_step_ && done())) return;
  attempt("the time of the last steps was not written to clock.jsonl",
          [&] { pace_->close(steps(), *so_far); });
}

// What else depends on the number of steps.
void RunSession::follow_plan() {
  feed_->set_end(last_step());
  const std::lock_guard lock(mutex_);
  seen_.wanted_steps = planned_steps();
}

}  // namespace ddpm
