// ddpm train: its flags, what they may not say together, and the plan of a training with a budget.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include "apps/cli/command.h"
#include "apps/cli/common.h"
#include "apps/cli/job.h"
#include "apps/cli/output.h"
#include "apps/cli/signals.h"
#include "apps/cli/training.h"
#include "apps/cli/training_flags.h"
#include "ddpm/base/duration.h"
#include "ddpm/base/error.h"
#include "ddpm/base/options.h"
#include "ddpm/base/threads.h"
#include "ddpm/diffusion/objective.h"
#include "ddpm/diffusion/schedule.h"
#include "ddpm/engine/budget.h"
#include "ddpm/engine/run/directory.h"
#include "ddpm/engine/training_plan.h"

namespace ddpm::cli {
namespace {

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
                                       .ranks = job().size(),
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
  flags.list("Several processes, also on several machines",
             {{"mpirun -n N ddpm train ...",
               "they share each batch, and the weights are those of one process. Only rank 0 reads "
               "and writes the run, and prints"},
              {"ddpm launch -n N -- train ...",
               "the same; it starts mpirun, and goes on without ranks that are lost"}});
  flags.list("Signals", {{"Ctrl-C, SIGTERM",
                          "finish the step, save, end with status 130; a second one ends the "
                          "program at once and keeps the last save"},
                         {"SIGHUP, SIGUSR1, ...",
                          "finish the step, save, end with status 130; one that was "
                          "ignored before (nohup) stays ignored"}});

  return [request, &flags] {
    if (job().rank() > 0) return serve_training(request->run.directory);
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
    refuse_two_ends(flags, options, run.resume);
    warn_of_idle_flags(flags, options, run.usable_classes);
    set_threads(options.run.threads);
    return train(options, run, run.resume ? nullptr : planner(flags, request->training, run));
  };
}

}  // namespace ddpm::cli
