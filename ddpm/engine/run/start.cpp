#include "ddpm/engine/run/start.h"

#include <fmt/core.h>

#include <cerrno>
#include <iterator>
#include <vector>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/engine/checkpoint.h"
#include "ddpm/engine/power_averages.h"
#include "ddpm/engine/run/metrics_log.h"

namespace ddpm {
namespace {

// Whether the weights of one are those of the other. Other pictures may be of the same classes.
// Files of earlier versions do not say how pictures were fitted to their size.
bool same_model(ModelConfig a, ModelConfig b) {
  a.class_counts = b.class_counts = {};
  a.fit = b.fit;
  a.background = b.background;
  return to_json(a) == to_json(b);
}

// Loads the checkpoint into the trainer and returns "", or returns the reason why it cannot.
std::string load_or_why_not(const StepFile& entry, const RunConfig& config, Trainer& trainer) {
  try {
    const Checkpoint checkpoint = Checkpoint::open(entry.path);
    if (checkpoint.step() != entry.step)
      return fmt::format("it was saved after step {}, not {}", checkpoint.step(), entry.step);
    if (const std::string why = why_foreign(checkpoint.marks(), config); !why.empty()) return why;
    if (!same_model(checkpoint.config(), trainer.config()))
      return "its network, condition, schedule or picture size differs";
    checkpoint.load(
        trainer.network(), trainer.optimizer(), trainer.averages(),
        [&](const Tensor& place, const Tensor& values) { trainer.deliver(place, values); });
    trainer.set_steps(checkpoint.step());
    trainer.share();
    return "";
  } catch (const SystemError& error) {
    const int code = error.code();
    if (code == ENOENT || code == ELOOP || code == EISDIR) return error.what();
    // The checkpoint may be sound.
    throw;
  } catch (const UsageError&) {
    throw;
  } catch (const Error& error) {
    return error.what();
  }
}

// Whether a run without checkpoints has come to its first save, so that there may have been some.
bool may_have_saved(const std::string& run, int64_t save_every) {
  return MetricsLog::last_step(run) > save_every && !exists(not_saved_mark(run));
}

}  // namespace

void require_writable(const std::string& run) {
  for (const char* place : {"checkpoints", "samples", "snapshots", "averages"}) {
    if (exists(in_run(run, place))) const AtomicFile trial(in_run(run, place) + "/trial");
  }
  for (const std::string& folder : power_average_folders(run))
    const AtomicFile trial(folder + "/trial");
  for (const char* file : {"model.safetensors", "metrics.jsonl"}) {
    const AtomicFile trial(in_run(run, file));
  }
}

void check_is_new(const std::string& run) {
  if (!holds_run(run)) refuse_lone_model(run);
  const auto refuse = [&](const std::string& what) {
    fail_usage("train", fmt::format("{} {}, or choose another directory", run, what));
  };
  if (!list_checkpoints(run).empty() || exists(in_run(run, "model.safetensors")))
    refuse("already holds a run; add --resume to continue it");
  const bool told = exists(in_run(run, "config.json"));
  if (!list_snapshots(run).empty()) {
    refuse(told ? "already holds a run with snapshots; add --resume to continue it"
                : "holds the snapshots of a run whose other files are gone; move them away");
  }
  for (const std::string& folder : power_average_folders(run)) {
    if (list_step_files(folder).empty()) continue;
    refuse(told ? "already holds a run with averages; add --resume to continue it"
                : "holds the averages of a run whose other files are gone; move them away");
  }
  if (told) {
    try {
      const int64_t save_every = read_run_options(run).run.save_every;
      if (!may_have_saved(run, save_every)) return;
    } catch (const SystemError&) {
      throw;
    } catch (const Error& error) {
      refuse(fmt::format("holds a config.json that does not belong to a run; move it away ({})",
                         error.what()));
    }
    refuse("holds a run that has lost its checkpoints; put them back and add --resume");
  }
  if (MetricsLog::is_foreign(run))
    refuse("holds a metrics.jsonl that does not belong to a run; move it away");
}

std::string not_saved_mark(const std::string& run) {
  return in_run(run, "checkpoints/not-saved-yet");
}

void check_never_saved(const std::string& run, const RunConfig& config) {
  const auto lost = [&](const char* what) {
    fail("train", fmt::format("{} has lost its checkpoints: {}. Put {} back to resume it, or start "
                              "a new run in another directory",
                              run, what, in_run(run, "checkpoints")));
  };
  if (exists(in_run(run, "model.safetensors")))
    lost("it holds a model.safetensors but nothing to continue from");
  if (!exists(in_run(run, "checkpoints")))
    lost("it holds a config.json but no folder named checkpoints");
  if (may_have_saved(run, config.options.run.save_every))
    lost("its metrics.jsonl has steps after the first save");
}

int64_t load_newest_checkpoint(const std::string& run, const RunConfig& config, Trainer& trainer,
                               const Warn& warn, int64_t every) {
  std::vector<StepFile> all = list_checkpoints(run);
  std::erase_if(all, [every](const StepFile& entry) { return entry.step % every != 0; });
  if (all.empty()) return -1;
  std::string reasons;
  for (auto entry = all.rbegin(); entry != all.rend(); ++entry) {
    const std::string reason = load_or_why_not(*entry, config, trainer);
    if (reason.empty()) return trainer.steps();
    reasons += fmt::format("{}{}: {}", reasons.empty() ? "" : "; ", entry->path, reason);
    if (std::next(entry) != all.rend())
      warn(
          fmt::format("cannot continue from {}: {}; trying the previous one", entry->path, reason));
  }
  fail("train", fmt::format("cannot continue from any checkpoint of {}: {}. Start a new run in "
                            "another directory",
                            run, reasons));
}

}  // namespace ddpm
