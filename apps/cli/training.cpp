#include "apps/cli/training.h"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <optional>
#include <utility>

#include "apps/cli/command.h"
#include "apps/cli/common.h"
#include "apps/cli/job.h"
#include "apps/cli/output.h"
#include "apps/cli/progress.h"
#include "apps/cli/signals.h"
#include "ddpm/base/duration.h"
#include "ddpm/base/memory.h"
#include "ddpm/base/text.h"
#include "ddpm/base/threads.h"
#include "ddpm/engine/budget.h"
#include "ddpm/engine/run/serve_run.h"
#include "ddpm/engine/step_files.h"
#include "ddpm/kernels/cpu/simd/simd.h"

namespace ddpm::cli {
namespace {

// The loss of single steps varies strongly. This is its mean over about the last 50 steps.
class SmoothLoss {
 public:
  double add(double loss) {
    weight_ = 0.98 * weight_ + 0.02;
    sum_ = 0.98 * sum_ + 0.02 * loss;
    return sum_ / weight_;
  }

 private:
  double weight_ = 0;
  double sum_ = 0;
};

// A training with its output for the user.
class Training {
 public:
  Training(const TrainOptions& options, const RunRequest& request, RunPlanner planner)
      : options_(options),
        request_(request),
        planner_(std::move(planner)),
        budget_(parse_budget(options.optimizer.budget).value_or(Budget()).seconds),
        stop_(stop_on_signals()) {}

  // Trains until all steps are done or a signal asks to stop. Returns the exit status.
  int run();

 private:
  PictureLoader pictures();
  RunObserver observer();
  std::unique_ptr<Run> open();
  // Returns whether the run is complete.
  bool train(Run& run);
  void note_save(const std::string& checkpoint);
  void tell_expected_end(const RunMetrics& metrics);

  const TrainOptions& options_;
  const RunRequest& request_;
  const RunPlanner planner_;
  // The wall time of the whole training, if it ends by the clock.
  const std::optional<double> budget_;
  const std::atomic<bool>& stop_;
  Progress loading_{"picture"};
  Progress steps_{"step"};
  SmoothLoss smooth_;
  // The newest loss of the pictures held out.
  std::string held_out_;
  // There is a save from which the run can continue.
  bool kept_ = false;
  // When the first step began, and how many steps were counted since.
  std::chrono::steady_clock::time_point begin_;
  int64_t steps_seen_ = 0;
  bool told_end_ = false;
};

// " on 4 ranks, rank 2 takes 1.6 times as long". Empty if the process is alone.
std::string speed_of_ranks(std::vector<double> seconds) {
  if (seconds.empty()) return "";
  constexpr double kSlow = 1.2;
  const auto slowest = std::max_element(seconds.begin(), seconds.end());
  const auto rank = slowest - seconds.begin();
  const double most = *slowest;
  const auto middle = seconds.begin() + std::ssize(seconds) / 2;
  std::nth_element(seconds.begin(), middle, seconds.end());
  // Of two ranks the upper median is the slower one.
  const double usual =
      std::ssize(seconds) == 2 ? *std::min_element(seconds.begin(), seconds.end()) : *middle;
  std::string text = fmt::format(" on {} rank{}", seconds.size(), plural(std::ssize(seconds)));
  if (most > kSlow * usual)
    text += fmt::format(", rank {} takes {:.1f} times as long", rank, most / usual);
  return text;
}

PictureLoader Training::pictures() {
  SourceEvents events;
  events.loading = [this](int64_t done, int64_t total) {
    if (stop_) throw Interrupted("[train] interrupted while reading pictures; nothing was written");
    loading_.update(done, total);
  };
  events.loaded = [this](const LoadReport& report, const Pictures& pictures) {
    loading_.finish();
    constexpr size_t kNamed = 20;
    say(describe(report, pictures, kNamed));
    if (request_.usable_classes && request_.drops_labels && pictures.class_names().empty())
      warn_of_idle_label_dropout();
  };
  return pictures_from_source(events, request_.usable_classes);
}

RunObserver Training::observer() {
  RunObserver observer;
  observer.stepped = [this](const RunMetrics& metrics) {
    if (metrics.skipped) return;
    if (metrics.validation_loss)
      held_out_ = fmt::format("  held out {:.4f}", *metrics.validation_loss);
    const std::string figures =
        fmt::format("loss {:.4f}{}  {:.3g} images/s{}", smooth_.add(metrics.loss), held_out_,
                    metrics.images_per_s, speed_of_ranks(metrics.rank_seconds));
    if (budget_)
      steps_.update_by_clock(metrics.step, metrics.progress, *metrics.seconds_left, figures);
    else
      steps_.update(metrics.step, metrics.planned_steps, figures, metrics.seconds_left);
    tell_expected_end(metrics);
  };
  observer.saved = [this](const std::string& path) {
    steps_.line("saved " + path);
    const std::filesystem::path folder = std::filesystem::path(path).parent_path();
    if (folder.filename() == "checkpoints") note_save(path);
  };
  observer.evaluated = [this](const RunEvaluation& evaluation) {
    steps_.line(fmt::format("step {}: Frechet distance {:.4g} of {} pictures{}", evaluation.step,
                            evaluation.frechet, evaluation.count,
                            evaluation.best ? ", the best so far" : ""));
  };
  observer.warned = [this](const std::string& text) {
    loading_.finish();
    steps_.line("warning: " + text);
  };
  observer.stopping = [this] { return stop_.load(); };
  observer.clock = [begin = request_.begin] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  return observer;
}

void Training::note_save(const std::string& checkpoint) {
  kept_ = true;
  set_save_note("the last checkpoint is good: " + checkpoint);
  tell_launch(Mark::Kind::kSaved, checkpoint);
}

// Once, after twenty steps or ten seconds. A run that ends soon needs no forecast.
void Training::tell_expected_end(const RunMetrics& metrics) {
  if (told_end_ || !metrics.seconds_left || metrics.planned_steps == 0) return;
  constexpr int64_t kSteps = 20;
  constexpr auto kLongEnough = std::chrono::seconds(10);
  constexpr double kSoon = 60;
  if (++steps_seen_ < kSteps && std::chrono::steady_clock::now() - begin_ < kLongEnough) return;
  told_end_ = true;
  if (*metrics.seconds_left < kSoon) return;
  const int64_t left = metrics.planned_steps - metrics.step;
  const std::string end = expected_end(*metrics.seconds_left, std::time(nullptr));
  steps_.line(budget_
                  ? fmt::format("about {} more steps fit into the time that is left, {}", left, end)
                  : fmt::format("{} steps will take {}", left, end));
}

// Null without a launcher. One rank that a launcher started trains as several do.
Communicator* ranks() { return job().launch().launched() ? &job().communicator() : nullptr; }

std::unique_ptr<Run> Training::open() {
  if (!request_.resume)
    return Run::create(request_.directory, options_, pictures(), observer(), planner_, ranks());
  return Run::resume(
      request_.directory, pictures(),
      {.options = options_, .accept_changed_data = request_.accept_changed_data, .ranks = ranks()},
      observer());
}

bool Training::train(Run& run) {
  const RunMemoryForecast memory = run.memory();
  say(fmt::format(
      "{} parameters, {} of memory ({} more than now; {} are free), {}{} thread{} ({}); {} {}; "
      "Ctrl-C saves and stops\n",
      short_number(static_cast<double>(run.parameter_count())),
      memory_text(static_cast<double>(memory.peak_bytes)),
      memory_text(static_cast<double>(memory.more_bytes)),
      memory_text(static_cast<double>(memory.available_bytes)),
      job().alone() ? "" : fmt::format("{} ranks with ", job().size()), num_threads(),
      plural(num_threads()), simd_name(),
      request_.resume ? fmt::format("continues after step {} in", run.first_step()) : "into",
      printable(run.directory())));
  if (run.held_out_pictures() > 0) {
    say(fmt::format(
        "{} of {} pictures are held out, to measure the loss on them every {} steps and at "
        "the end\n",
        run.held_out_pictures(), run.held_out_pictures() + run.training_pictures(),
        run.validate_every()));
  }
  steps_.start_from(run.first_step());
  begin_ = std::chrono::steady_clock::now();
  if (run.first_step() > 0)
    note_save(checkpoint_path(run.directory(), run.first_step()));
  else
    set_save_note("nothing was saved yet");
  while (!run.done() && !stop_) run.step();
  const bool complete = run.finish();
  if (const auto sent = run.traffic(); sent && sent->steps > 0 && !job().alone()) {
    const std::chrono::duration<double> all = std::chrono::steady_clock::now() - begin_;
    const auto a_step = [&](int64_t bytes) {
      return memory_text(static_cast<double>(bytes) / static_cast<double>(sent->steps));
    };
    steps_.line(fmt::format(
        "rank 0 sent {} in each step (at least {} are needed) and waited {:.0f} % of the time for "
        "other ranks",
        a_step(sent->sent_bytes), a_step(sent->fewest_bytes), 100 * sent->waited / all.count()));
  }
  return complete;
}

// A command that draws from the model.
std::string sample_command(const std::string& directory, const ModelConfig& config) {
  std::string command = "ddpm sample " + directory;
  if (config.condition != "none")
    command += fmt::format(" --input PICTURE --size {}x{}", config.height, config.width);
  constexpr int64_t kMostRows = 20;
  const int64_t classes = config.network.classes();
  if (classes > 0 && classes <= kMostRows) command += " --class all --n 4 --guidance 2";
  return command + " --out grid.png";
}

int Training::run() {
  const std::string directory = shell_word(request_.directory);
  bool complete = false;
  int64_t steps = 0, planned = 0;
  double elapsed = 0;
  std::string next;
  try {
    const std::unique_ptr<Run> run = open();
    complete = train(*run);
    steps = run->steps();
    planned = run->snapshot().wanted_steps;
    elapsed = run->elapsed().value_or(0);
    next = sample_command(directory, run->config());
  } catch (const Interrupted&) {
    loading_.finish();
    throw;
  } catch (const Error& error) {
    // What another rank reports is about its system as well.
    const bool of_system = dynamic_cast<const SystemError*>(&error) != nullptr || !job().alone();
    if (!kept_ || !of_system) throw;
    throw Error(
        fmt::format("{}; the last save is kept, to continue from it: ddpm train --out {} "
                    "--resume",
                    error.what(), directory));
  }
  steps_.finish();
  if (!complete) {
    const std::string rest =
        budget_ ? fmt::format("; {} of the budget of {} are left",
                              duration_text(*budget_ - elapsed), duration_text(*budget_))
                : fmt::format(" of {}", planned);
    print(
        fmt::format("Stopped after step {}{}, everything is saved. To continue:\n"
                    "  ddpm train --out {} --resume\n",
                    steps, rest, directory));
    return kInterrupted;
  }
  print(fmt::format("Done: {} step{}{}. To make pictures with it:\n  {}\n", steps, plural(steps),
                    budget_ ? " in " + duration_text(elapsed) : "", next));
  return 0;
}

}  // namespace

void warn_of_idle_label_dropout() {
  say("warning: --label-dropout changes nothing without classes; --classes or --labels give "
      "some\n");
}

int serve_training(const std::string& directory) {
  leave_signals_to_others();
  set_save_note("what was saved in " + directory + " is good");
  serve_run(job().communicator(), pictures_from_source(),
            [](const TrainOptions& options) { set_threads(options.run.threads); });
  return 0;
}

int train(const TrainOptions& options, const RunRequest& request, RunPlanner planner) {
  return Training(options, request, std::move(planner)).run();
}

}  // namespace ddpm::cli
