// ddpm train: options from a file and from flags, the output during training, and Ctrl-C.
#include <fmt/core.h>

#include <atomic>
#include <chrono>
#include <ctime>
#include <filesystem>

#include "apps/cli/command.h"
#include "apps/cli/common.h"
#include "apps/cli/job.h"
#include "apps/cli/output.h"
#include "apps/cli/progress.h"
#include "apps/cli/signals.h"
#include "apps/cli/training_flags.h"
#include "ddpm/base/duration.h"
#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/base/memory.h"
#include "ddpm/base/options.h"
#include "ddpm/base/text.h"
#include "ddpm/base/threads.h"
#include "ddpm/diffusion/objective.h"
#include "ddpm/diffusion/schedule.h"
#include "ddpm/engine/budget.h"
#include "ddpm/engine/run/directory.h"
#include "ddpm/engine/run/run.h"
#include "ddpm/engine/run/serve_run.h"
#include "ddpm/engine/training_plan.h"
#include "ddpm/kernels/cpu/simd/simd.h"

namespace ddpm::cli {
namespace {

// Thrown if the user stops the program before there is anything to save.
class Interrupted : public Error {
 public:
  using Error::Error;
};

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

void warn_of_idle_label_dropout() {
  say("warning: --label-dropout changes nothing without classes; --classes or --labels give "
      "some\n");
}

// The flags about the run.
struct RunRequest {
  std::string directory;
  // A new run learns the classes of its pictures if there are some that are worth it.
  bool usable_classes = false;
  // --label-dropout is given.
  bool drops_labels = false;
  // Continue the existing run.
  bool resume = false;
  // A resumed run may continue with other pictures.
  bool accept_changed_data = false;
  // When the program began with it.
  std::chrono::steady_clock::time_point begin;
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
        fmt::format("loss {:.4f}{}  {:.3g} images/s", smooth_.add(metrics.loss), held_out_,
                    metrics.images_per_s);
    if (budget_)
      steps_.update_by_clock(metrics.step, metrics.progress, *metrics.seconds_left, figures);
    else
      steps_.update(metrics.step, metrics.planned_steps, figures, metrics.seconds_left);
    tell_expected_end(metrics);
  };
  observer.saved = [this](const std::string& path) {
    steps_.line("saved " + path);
    const std::filesystem::path folder = std::filesystem::path(path).parent_path();
    kept_ = kept_ || folder.filename() == "checkpoints";
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
  return Run::resume(request_.directory, pictures(),
                     {.options = options_,
                      .accept_changed_data = request_.accept_changed_data,
                      .ranks = ranks()},
                     observer());
}

bool Training::train(Run& run) {
  const RunMemoryForecast memory = run.memory();
  say(fmt::format(
      "{} parameters, {} of memory ({} more than now; {} are free), {} thread{} ({}); {} {}; "
      "Ctrl-C saves and stops\n",
      short_number(static_cast<double>(run.parameter_count())),
      memory_text(static_cast<double>(memory.peak_bytes)),
      memory_text(static_cast<double>(memory.more_bytes)),
      memory_text(static_cast<double>(memory.available_bytes)), num_threads(),
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
  kept_ = run.first_step() > 0;
  while (!run.done() && !stop_) run.step();
  return run.finish();
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
  } catch (const Interrupted& interrupted) {
    loading_.finish();
    fail_job(interrupted.what(), kInterrupted);
    say(fmt::format("ddpm: {}\n", interrupted.what()));
    return kInterrupted;
  } catch (const SystemError& error) {
    if (!kept_) throw;
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

// A training ends after its steps or by the clock.
void refuse_two_ends(const Flags& flags, const TrainOptions& options, bool resumed) {
  const std::string& budget = options.optimizer.budget;
  if (!flags.given("steps") || !parse_budget(budget)) return;
  const std::string both = fmt::format("--steps {} and --budget {} cannot both end a training",
                                       options.optimizer.steps, budget);
  if (flags.given("budget")) fail_usage("train", both + "; leave one of them out");
  if (!resumed) fail_usage("train", both + "; add --budget none to end it after the steps");
  fail_usage("train", both +
                          ", and the run was started with the budget; leave --steps out, or "
                          "give another --budget");
}

// Flags that the other options make meaningless.
void warn_of_idle_flags(const Flags& flags, const TrainOptions& options, bool usable_classes) {
  // Whether there are usable classes, only the pictures tell.
  if (flags.given("label-dropout") && !options.data.wants_classes() && !usable_classes)
    warn_of_idle_label_dropout();
  if (flags.given("power-average-every") && options.optimizer.power_average == "none") {
    say("warning: --power-average-every changes nothing without --power-average\n");
  }
  if (flags.given("validate-every") && options.data.validation == 0) {
    say("warning: --validate-every changes nothing without --validation, the share of pictures "
        "that are held out\n");
  }
  const ObjectiveKind& objective = find_objective(options.process.objective);
  if (flags.given("schedule") && objective.process != ProcessKind::kScheduled) {
    say(fmt::format(
        "warning: --schedule changes nothing with the objective {}, which has levels of "
        "noise of its own\n",
        objective.name));
  }
}

// A rank that works for rank 0.
int serve() {
  leave_signals_to_others();
  job().set_loss_note("the last checkpoint is good");
  serve_run(job().communicator(), pictures_from_source(),
            [](const TrainOptions& options) { set_threads(options.run.threads); });
  return 0;
}

bool learns_usable_classes(const Flags& flags, const TrainingFlags& training) {
  return training.options.recipe != "tutorial" && !training.chosen(flags, "classes") &&
         !training.chosen(flags, "labels");
}

// With a budget of time: what the user has not chosen is chosen by plan_training().
RunPlanner planner(const Flags& flags, const TrainingFlags& training, const RunRequest& request) {
  const std::optional<Budget> budget = parse_budget(training.options.optimizer.budget);
  if (!budget || !budget->seconds) return nullptr;
  // The tutorial's recipe stays as it is.
  const bool keeps_recipe = training.options.recipe == "tutorial";
  const auto chosen = [&flags, &training, keeps_recipe](std::string_view field) {
    return keeps_recipe || training.chosen(flags, field) ||
           (field == "dim" && flags.given("model-size"));
  };
  return [seconds = *budget->seconds, begin = request.begin, chosen, &stop = stop_on_signals()](
             const TrainOptions& options, const ModelConfig& model, int64_t pictures) {
    const std::chrono::duration<double> used = std::chrono::steady_clock::now() - begin;
    say("measuring how long a step takes\n");
    TrainingPlan plan = plan_training(options, model,
                                      {.seconds = std::max(seconds - used.count(), 0.001),
                                       .pictures = pictures,
                                       .chosen = chosen,
                                       .stopping = [&stop] { return stop.load(); }});
    if (stop) throw Interrupted("[train] interrupted before the first step; nothing was written");
    say(fmt::format("plan for {}:\n", duration_text(seconds)));
    for (const std::string& reason : plan.reasons) say(fmt::format("  {}\n", reason));
    return std::move(plan.options);
  };
}

}  // namespace

Action train_command(Flags& flags) {
  struct Request {
    TrainingFlags training;
    RunRequest run;
    bool resume_or_start = false;
  };
  const auto request = std::make_shared<Request>();
  flags.group("The run");
  flags.add("out", request->run.directory,
            "the run's directory: model, checkpoints, samples, metrics", "RUN");
  flags.require();
  flags.add("resume", request->run.resume, "continue the existing run, with its own options");
  flags.add("resume-or-start", request->resume_or_start,
            "continue the run if there is one, otherwise start one");
  flags.add("accept-changed-data", request->run.accept_changed_data,
            "resume even if the pictures are not those that the run was trained on");
  request->training.declare_config(
      flags, "JSON with options as keys, such as a run's config.json; flags override it");
  request->training.declare(flags);
  std::vector<std::pair<std::string, std::string>> schedules, objectives;
  for (const ScheduleKind& kind : schedule_kinds()) schedules.emplace_back(kind.name, kind.help);
  for (const ObjectiveKind& kind : objective_kinds()) objectives.emplace_back(kind.name, kind.help);
  flags.list("SOURCE is one of", source_rows());
  flags.list("Schedules", schedules);
  flags.list("Objectives: the network predicts", objectives);
  flags.list("Signals", {{"Ctrl-C, SIGTERM",
                          "finish the step, save, end with status 130; a second one ends the "
                          "program at once and keeps the last save"},
                         {"SIGHUP, SIGUSR1, ...",
                          "finish the step, save, end with status 130; one that was "
                          "ignored before (nohup) stays ignored"}});

  return [request, &flags] {
    if (job().rank() > 0) return serve();
    RunRequest& run = request->run;
    run.begin = std::chrono::steady_clock::now();
    if (request->resume_or_start) run.resume = run.resume || holds_run(run.directory);
    if (run.resume) {
      request->training.apply_to_run(flags, read_run_options(run.directory));
    } else {
      request->training.apply_to_new(flags);
      run.usable_classes = learns_usable_classes(flags, request->training);
      run.drops_labels = flags.given("label-dropout");
    }
    const TrainOptions& options = request->training.options;
    options.check();
    set_threads(options.run.threads);
    refuse_two_ends(flags, options, run.resume);
    warn_of_idle_flags(flags, options, run.usable_classes);
    return Training(options, run, run.resume ? nullptr : planner(flags, request->training, run))
        .run();
  };
}

}  // namespace ddpm::cli
