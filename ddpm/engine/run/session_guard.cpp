// What a session does about steps whose loss or gradient is not finite.
#include <fmt/core.h>

#include <algorithm>
#include <exception>
#include <mutex>
#include <string>
#include <vector>

#include "ddpm/base/error.h"
#include "ddpm/base/text.h"
#include "ddpm/data/held_out.h"
#include "ddpm/engine/pictures_lost.h"
#include "ddpm/engine/run/session.h"
#include "ddpm/engine/run/start.h"

namespace ddpm {

// The names of the files, or the numbers of the pictures if a file holds several.
std::vector<std::string> RunSession::names_of_pictures(int64_t step) {
  std::vector<std::string> names;
  const std::vector<SourceFile> files = file_of_each(*pictures_);
  for (const int64_t index : feed_->plan(step - 1).indices) {
    const auto k = static_cast<size_t>(index);
    names.push_back(
        !files.empty()
            ? files[k].name
            : fmt::format("picture {}", picture_numbers_.empty() ? index : picture_numbers_[k]));
  }
  return names;
}

// Whether a save would hold the numbers that a resumed run needs.
bool RunSession::has_finite_state() const { return trainer_->has_finite_state(); }

void RunSession::report_skipped(const StepMetrics& metrics) {
  const std::vector<std::string> pictures = names_of_pictures(metrics.step);
  guard_->skipped(metrics.step, metrics.skipped, pictures);
  constexpr size_t kNamed = 4;
  std::string named;
  for (size_t i = 0; i < std::min(kNamed, pictures.size()); ++i)
    named += (i == 0 ? "" : ", ") + printable(pictures[i]);
  if (pictures.size() > kNamed) named += fmt::format(" and {} more", pictures.size() - kNamed);
  warn(fmt::format("step {} was skipped, because {}; guard.jsonl tells its pictures: {}",
                   metrics.step, metrics.skipped, named));
}

// The pictures of the next step cannot be read. What was learnt so far is kept.
void RunSession::save_without_pictures() {
  pictures_failed_ = false;
  if (!attempt(fmt::format("step {} was not saved", steps()).c_str(), [&] { save(); })) return;
  if (steps() > 0) {
    warn(fmt::format("step {} is saved; put the pictures back, and go on with --resume", steps()));
  }
}

// A step, or what the guard does instead.
StepMetrics RunSession::guarded_step() {
  const int64_t step = steps() + 1;
  const bool skipped_before = guard_->skips(step);
  StepMetrics metrics{.step = step, .skipped = guard_->why(step)};
  std::exception_ptr lost_pictures;
  {
    const Stepping stepping(*this);
    if (skipped_before) {
      trainer_->skip();
    } else {
      trainer_->set_rate_factor(guard_->rate(step));
      trainer_->set_decayed(decayed());
      try {
        metrics = trainer_->step();
      } catch (const PicturesLost&) {
        lost_pictures = std::current_exception();
      } catch (const Error&) {
        if (!pictures_failed_) throw;
        lost_pictures = std::current_exception();
      }
    }
  }
  if (lost_pictures) {
    save_without_pictures();
    std::rethrow_exception(lost_pictures);
  }
  if (metrics.skipped.empty()) return metrics;
  if (!skipped_before) report_skipped(metrics);
  if (guard_->in_a_row(step + 1) >= Guard::kInARow) return_to_checkpoint(metrics);
  return metrics;
}

void RunSession::return_to_checkpoint(const StepMetrics& metrics) {
  int64_t to = 0;
  // Reported after the step, so that an observer may then look at the weights.
  std::vector<std::string> warnings;
  {
    const Stepping stepping(*this);
    // Only to a regular save: those of an interruption are not there in a run without one.
    const int64_t newest = load_newest_checkpoint(
        directory_, config_, *trainer_, [&](const std::string& text) { warnings.push_back(text); },
        options_.run.save_every);
    to = std::max<int64_t>(newest, 0);
    if (to == 0) trainer_->restart();
  }
  for (const std::string& text : warnings) warn(text);
  if (guard_->returns_to(to) >= Guard::kReturns) {
    fail("train",
         fmt::format(
             "{} at step {}, and {} returns to step {} with ever lower learning rates did "
             "not help. Look at the pictures in guard.jsonl of {}, or start a new run: {}. To "
             "try again, remove guard.jsonl and add --resume",
             metrics.skipped, metrics.step, Guard::kReturns, to, directory_, trainer_->advice()));
  }
  guard_->returned(metrics.step, to);
  plan_again();
  log_.emplace(directory_, to);
  evaluations_.emplace(directory_, to);
  forget_averages_after(to);
  tell_board([&](Board& board) { board.go_on_from(to + 1); });
  saved_ = to > 0 ? to : -1;
  model_saved_ = saved_;
  images_since_line_ = seconds_since_line_ = 0;
  lines_wait_ = false;
  warn(
      fmt::format("{} steps in a row were skipped, so the run returns to step {} and goes on with "
                  "{} of the learning rate",
                  Guard::kInARow, to, guard_->rate(to + 1)));
}

}  // namespace ddpm
