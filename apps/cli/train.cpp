// ddpm train: options from a file and from flags, what a user sees meanwhile, and what Ctrl-C does.
#include <fmt/core.h>

#include <atomic>

#include "apps/cli/command.h"
#include "apps/cli/common.h"
#include "apps/cli/output.h"
#include "apps/cli/progress.h"
#include "apps/cli/signals.h"
#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/base/options.h"
#include "ddpm/base/text.h"
#include "ddpm/base/threads.h"
#include "ddpm/diffusion/objective.h"
#include "ddpm/diffusion/schedule.h"
#include "ddpm/engine/run.h"
#include "ddpm/kernels/cpu/simd/simd.h"

namespace ddpm::cli {
namespace {

// Stopped before there was anything to save.
class Interrupted : public Error {
 public:
  using Error::Error;
};

// Single steps jump about; what is shown is their mean over about the last 50.
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

int run_training(const TrainOptions& options, const RunRequest& request) {
  const std::string& run = request.directory;
  const std::atomic<bool>& stop_requested = stop_on_signals();
  Progress loading("picture");
  Progress training("step");
  SmoothLoss smooth;
  bool kept = false;  // there is a save to continue from
  TrainEvents events;
  events.loading = [&](int64_t done, int64_t total) {
    if (stop_requested) {
      throw Interrupted("[train] interrupted while reading pictures; nothing was written");
    }
    loading.update(done, total);
  };
  events.loaded = [&](const LoadReport& report, const Dataset& pictures) {
    loading.finish();
    constexpr size_t kNamed = 20;
    say(describe(report, pictures, kNamed));
  };
  events.started = [&](const ModelConfig&, int64_t parameters, int64_t first_step) {
    say(fmt::format("{} parameters, {} thread{} ({}); {} {}; Ctrl-C saves and stops\n",
                    short_number(static_cast<double>(parameters)), num_threads(),
                    plural(num_threads()), simd_name(),
                    request.resume ? fmt::format("continues after step {} in", first_step) : "into",
                    printable(run)));
    training.start_from(first_step);
    kept = first_step > 0;
  };
  events.stepped = [&](const StepMetrics& metrics, double images_per_s) {
    training.update(
        metrics.step, options.optimizer.steps,
        fmt::format("loss {:.4f}  {:.3g} images/s", smooth.add(metrics.loss), images_per_s));
  };
  events.saved = [&](const std::string& path) {
    training.line("saved " + path);
    kept = kept || path.ends_with(".safetensors");
  };
  events.warned = [&](const std::string& text) {
    loading.finish();
    training.line("warning: " + text);
  };

  TrainResult result;
  try {
    result = train(options, request, events, stop_requested);
  } catch (const Interrupted& interrupted) {
    loading.finish();
    say(fmt::format("ddpm: {}\n", interrupted.what()));
    return kInterrupted;
  } catch (const SystemError& error) {
    if (!kept) throw;
    throw Error(
        fmt::format("{}; the last save is kept, to continue from it: ddpm train --out {} "
                    "--resume",
                    error.what(), shell_word(run)));
  }
  training.finish();
  if (!result.finished) {
    print(
        fmt::format("Stopped after step {} of {}, everything is saved. To continue:\n"
                    "  ddpm train --out {} --resume\n",
                    result.steps, options.optimizer.steps, shell_word(run)));
    return kInterrupted;
  }
  print(fmt::format("Done: {} step{}. To make pictures with it:\n  ddpm sample {} --out grid.png\n",
                    result.steps, plural(result.steps), shell_word(run)));
  return 0;
}

}  // namespace

Action train_command(Flags& flags) {
  struct Request {
    TrainOptions options;
    RunRequest run;
    bool resume_or_start = false;
    std::string config;
  };
  const auto request = std::make_shared<Request>();
  flags.group("The run");
  flags.add("out", request->run.directory,
            "the run's directory: model, checkpoints, samples, metrics", "RUN");
  flags.require();
  flags.add("resume", request->run.resume, "continue the run that is there, with its own options");
  flags.add("resume-or-start", request->resume_or_start,
            "continue the run that is there, or start one where there is none");
  flags.add("accept-changed-data", request->run.accept_changed_data,
            "resume although the pictures are not those that the run was trained on");
  flags.add("config", request->config,
            "JSON with options as keys, such as a run's config.json; flags win over it", "FILE");
  flags.add_fields(request->options);
  std::vector<std::pair<std::string, std::string>> schedules, objectives;
  for (const ScheduleKind& kind : schedule_kinds()) schedules.emplace_back(kind.name, kind.help);
  for (const ObjectiveKind& kind : objective_kinds()) objectives.emplace_back(kind.name, kind.help);
  flags.list("SOURCE is one of", source_rows());
  flags.list("Schedules", schedules);
  flags.list("Objectives: the network predicts", objectives);
  flags.list("Signals", {{"Ctrl-C, SIGTERM",
                          "finish the step, save, end with status 130; a second one ends at "
                          "once and keeps the last save"},
                         {"SIGHUP, SIGUSR1, ...",
                          "finish the step, save, end with status 130; one that was "
                          "ignored before (nohup) stays ignored"}});

  return [request, &flags] {
    RunRequest& run = request->run;
    if (request->resume_or_start) run.resume = run.resume || holds_run(run.directory);
    if (run.resume) request->options = read_run_options(run.directory);
    if (!request->config.empty()) read_config_file(request->config, request->options);
    flags.apply();
    return run_training(request->options, run);
  };
}

}  // namespace ddpm::cli
