#include "ddpm/engine/run.h"

#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <optional>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/base/lock.h"
#include "ddpm/base/philox.h"
#include "ddpm/base/threads.h"
#include "ddpm/data/batch_sampler.h"
#include "ddpm/data/image.h"
#include "ddpm/engine/checkpoint.h"
#include "ddpm/engine/generator.h"
#include "ddpm/engine/memory_check.h"
#include "ddpm/engine/metrics_log.h"
#include "ddpm/engine/model.h"
#include "ddpm/engine/run_directory.h"
#include "ddpm/engine/streams.h"

namespace ddpm {
namespace {

using Clock = std::chrono::steady_clock;

// One training session over one directory, which it has locked.
class Session {
 public:
  Session(const TrainOptions& options, const RunRequest& request, const TrainEvents& events,
          const std::atomic<bool>& stop)
      : options_(options),
        run_(request.directory),
        request_(request),
        events_(events),
        stop_(stop) {}

  // What is written only after a while is tried before the pictures are read.
  void require_writable() const {
    for (const char* place : {"checkpoints", "samples"}) {
      if (exists(in_run(run_, place))) const AtomicFile trial(in_run(run_, place) + "/trial");
    }
    for (const char* file : {"model.safetensors", "metrics.jsonl"}) {
      const AtomicFile trial(in_run(run_, file));
    }
  }

  // Reads what is there and the pictures, and writes nothing but what mends the run.
  void prepare() {
    if (request_.resume) {
      config_ = read_run_config(run_, [this](const std::string& text) { warn(text); });
      adopt_started_options(config_.options, options_);
      save_every_before_ = config_.options.run.save_every;
    }
    options_.data.source = absolute_source(options_.data.source);
    check_source();
    if (request_.resume && list_checkpoints(run_).empty()) check_never_saved();
    attempt("temporary files of a session that was killed stay for now",
            [&] { remove_leftovers(run_); });
    const DataFingerprint before =
        request_.resume ? read_data_index(run_, config_) : DataFingerprint{};
    source_ = load(before);
    const Dataset& pictures = source_.dataset;
    options_.data.channels = std::to_string(pictures.channels());
    const ModelConfig model = options_.model_config(
        pictures.image_size().height, pictures.image_size().width, pictures.channels());
    if (request_.resume) {
      if (config_.data_hashes.empty())
        warn(
            fmt::format("version 0.1.0, which started {}, did not record its pictures; those that "
                        "are there now are taken for them",
                        run_));
      check_data(run_, config_, before, source_.dataset.fingerprint(),
                 request_.accept_changed_data);
      config_.options = options_;
      if (config_.id.empty()) adopt_old_run(config_, model, source_.dataset.fingerprint());
    } else {
      config_ = start_config(options_, model, source_.dataset.fingerprint());
    }
    sampler_.emplace(SamplerOptions{.images = pictures.size(),
                                    .batch = options_.optimizer.batch,
                                    .seed = seed_of(options_.optimizer.seed, Stream::kPictureOrder),
                                    .flip = options_.data.flip});
    // The pictures are there already, so what is left is the training's.
    require_memory_for_training(model, options_.optimizer.batch, options_.optimizer.recompute, 0);
    trainer_ = std::make_unique<Trainer>(options_.optimizer, model, [this](int64_t step) {
      return source_.dataset.batch(sampler_->at(step));
    });
    if (request_.resume) load_newest_checkpoint();
    averaged_ = trainer_->averaged_network();
  }

  TrainResult train() {
    make_folder(in_run(run_, "checkpoints"));
    make_folder(in_run(run_, "samples"));
    const int64_t first_step = trainer_->steps();
    if (options_.optimizer.steps < first_step)
      warn(fmt::format("{} steps are asked for, but the run has done {}", options_.optimizer.steps,
                       first_step));
    log_.emplace(run_, first_step);
    if (log_->damaged_lines() > 0)
      warn(fmt::format("metrics.jsonl is damaged; lines left out: {}", log_->damaged_lines()));
    write_run_config(run_, config_, trainer_->config());
    write_data_index(run_, source_.dataset.fingerprint());
    if (first_step > 0) finish_last_save();
    if (events_.started)
      events_.started(trainer_->config(), trainer_->network().parameter_count(), first_step);
    while (trainer_->steps() < options_.optimizer.steps && !stop_) train_step();
    // Before the first step there is nothing to save: the run begins anew.
    if (trainer_->steps() > 0 && saved_ != trainer_->steps()) save();
    if (trainer_->steps() < options_.optimizer.steps)
      return {.steps = trainer_->steps(), .finished = false};
    const bool has_last_grid = trainer_->steps() == first_step && has_grid();
    return {.steps = trainer_->steps(), .finished = has_last_grid || draw_grid()};
  }

 private:
  void warn(const std::string& text) const {
    if (events_.warned) events_.warned(text);
  }

  // A run knows its pictures by their place, and is no place of pictures itself.
  void check_source() const {
    const size_t slash = options_.data.source.find('/');
    if (slash == std::string::npos) return;  // emoji
    const std::string place = options_.data.source.substr(slash);
    const std::optional<FileStatus> found = find_file(place);
    if (!found) {
      if (!request_.resume) return;  // load_source says what it looked for
      fail("train", fmt::format("the pictures of {} are not where they were, {}; tell where they "
                                "are now with --data",
                                run_, place));
    }
    if (found->identity == file_status(run_).identity) {
      fail_usage("train", fmt::format("{} holds the pictures, so it cannot be the run's directory; "
                                      "choose one of its own, such as {}",
                                      run_, in_run(run_, "run")));
    }
  }

  LoadedSource load(const DataFingerprint& known) {
    LoadedSource source = load_source(options_.data.source,
                                      {.size = parse_image_size(options_.data.size),
                                       .channels = options_.data.channels,
                                       .background = options_.data.background,
                                       .known = &known},
                                      events_.loading);
    if (events_.loaded) events_.loaded(source.report, source.dataset);
    return source;
  }

  // Takes the newest checkpoint that is sound and this run's; each that is not is named.
  void load_newest_checkpoint() {
    const std::vector<CheckpointEntry> all = list_checkpoints(run_);
    std::string reasons;
    for (auto entry = all.rbegin(); entry != all.rend(); ++entry) {
      const std::string reason = load_checkpoint_or_why_not(*entry);
      if (reason.empty()) return;
      reasons += fmt::format("{}{}: {}", reasons.empty() ? "" : "; ", entry->path, reason);
      if (std::next(entry) != all.rend())
        warn(
            fmt::format("cannot continue from {}: {}; trying the one before", entry->path, reason));
    }
    if (!all.empty()) {
      fail("train", fmt::format("no checkpoint of {} can be continued from: {}. Start a new run in "
                                "another directory",
                                run_, reasons));
    }
  }

  std::string load_checkpoint_or_why_not(const CheckpointEntry& entry) {
    try {
      const Checkpoint checkpoint = Checkpoint::open(entry.path);
      if (checkpoint.step() != entry.step)
        return fmt::format("it was saved after step {}, not {}", checkpoint.step(), entry.step);
      if (const std::string why = why_foreign(checkpoint.marks(), config_); !why.empty())
        return why;
      if (to_json(checkpoint.config()) != to_json(trainer_->config()))
        return "its network, schedule or size of pictures is another";
      checkpoint.load(trainer_->network(), trainer_->adam());
      saved_ = trainer_->steps();
      return "";
    } catch (const SystemError& error) {
      const int code = error.code();
      if (code == ENOENT || code == ELOOP || code == EISDIR) return error.what();
      throw;  // says nothing about the checkpoint
    } catch (const UsageError&) {
      throw;
    } catch (const Error& error) {
      return error.what();
    }
  }

  // A run without checkpoints begins at step 0, which would destroy one that has lost them.
  void check_never_saved() const {
    const auto lost = [&](const char* what) {
      fail("train",
           fmt::format("{} has lost its checkpoints: {}. Put {} back to resume it, or start "
                       "a new run in another directory",
                       run_, what, in_run(run_, "checkpoints")));
    };
    if (exists(in_run(run_, "model.safetensors")))
      lost("it holds a model.safetensors but nothing to continue from");
    if (!exists(in_run(run_, "checkpoints")))
      lost("it holds a config.json but no folder checkpoints");
    const int64_t last = MetricsLog::last_step(run_);
    if (last > config_.options.run.save_every)
      lost("its metrics.jsonl goes on beyond the step of the first save");
  }

  // What a session that ended right after its checkpoint did not do any more.
  void finish_last_save() {
    const std::string model = in_run(run_, "model.safetensors");
    // A later model, whose checkpoint was damaged, is kept until training has come that far again.
    if (step_of_model(model, config_.id).value_or(-1) < trainer_->steps()) save_averaged(model);
    tidy_up();
    const bool due =
        options_.run.sample_every > 0 && trainer_->steps() % options_.run.sample_every == 0;
    if (due && trainer_->steps() < options_.optimizer.steps && !has_grid()) draw_grid();
  }

  void train_step() {
    const Clock::time_point begin = Clock::now();
    const StepMetrics metrics = trainer_->step();
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    const auto batch = static_cast<double>(options_.optimizer.batch);
    images_since_line_ += batch;
    seconds_since_line_ += seconds;
    const bool last = metrics.step == options_.optimizer.steps;
    if (metrics.step % options_.run.log_every == 0 || last) {
      log_->append(metrics, images_since_line_ / seconds_since_line_);
      images_since_line_ = seconds_since_line_ = 0;
    }
    if (events_.stepped) events_.stepped(metrics, batch / seconds);
    if (last) return;
    if (metrics.step % options_.run.save_every == 0) save();
    if (options_.run.sample_every > 0 && metrics.step % options_.run.sample_every == 0) draw_grid();
  }

  void save() {
    log_->sync();
    const std::string path = checkpoint_path(run_, trainer_->steps());
    save_checkpoint(path, trainer_->config(), trainer_->network(), trainer_->adam(),
                    marks_of(config_));
    saved_ = trainer_->steps();
    save_averaged(in_run(run_, "model.safetensors"));
    tidy_up();
    if (events_.saved) events_.saved(path);
  }

  void save_averaged(const std::string& path) {
    save_model(path, trainer_->config(), trainer_->network(), trainer_->adam().ema(),
               trainer_->steps(), config_.id);
  }

  // What follows a save and is no reason to stop where it fails.
  void tidy_up() {
    attempt("old checkpoints stay for now", [&] {
      prune_checkpoints(run_, {.newest = trainer_->steps(),
                               .save_every = options_.run.save_every,
                               .save_every_before = save_every_before_,
                               .keep = options_.run.keep_checkpoints});
    });
    attempt("the curve of the loss was not drawn", [&] { log_->draw(); });
  }

  // Runs it, once more where it fails, and says so where it fails again. Whether it succeeded.
  template <class Work>
  bool attempt(const char* consequence, const Work& work) {
    for (const bool again : {true, false}) {
      try {
        work();
        return true;
      } catch (const std::exception& error) {
        if (!again) warn(fmt::format("{}: {}", consequence, error.what()));
      }
    }
    return false;
  }

  std::string grid_path() const {
    return in_run(run_, fmt::format("samples/step-{:08}.png", trainer_->steps()));
  }
  bool has_grid() const { return options_.run.sample_every == 0 || exists(grid_path()); }

  // False where it was stopped before the grid was there. A grid that fails is said; it is no
  // reason to end a training.
  bool draw_grid() {
    if (options_.run.sample_every == 0) return true;
    const ImageSize size{trainer_->config().height, trainer_->config().width};
    // Few enough pictures at once that a request to stop is answered soon.
    const int64_t batch = std::clamp<int64_t>(16 * 32 * 32 / (size.height * size.width), 1, 16);
    bool cancelled = false;
    const auto draw = [&] {
      const Tensor images = generate(*averaged_, trainer_->config(),
                                     {.count = options_.run.sample_count,
                                      .seed = options_.optimizer.seed,
                                      .steps = options_.run.sample_steps,
                                      .batch = batch,
                                      .prepare_weights = false,  // the memory is training's
                                      .progress = [&](int64_t, const SampleProgress&) {
                                        cancelled = stop_;
                                        return !cancelled;
                                      }});
      write_png(grid_path(), make_grid(to_bytes(images), {.scale = comfortable_scale(size)}));
    };
    const bool drawn = attempt("a sample grid was not drawn", [&] {
      try {
        draw();
      } catch (const Error&) {
        if (!cancelled) throw;
      }
    });
    if (drawn && !cancelled && events_.saved) events_.saved(grid_path());
    return !cancelled;
  }

  TrainOptions options_;
  const std::string run_;
  const RunRequest& request_;
  const TrainEvents& events_;
  const std::atomic<bool>& stop_;
  RunConfig config_;
  LoadedSource source_;
  std::optional<BatchSampler> sampler_;
  std::unique_ptr<Trainer> trainer_;
  std::unique_ptr<Network> averaged_;
  std::optional<MetricsLog> log_;
  int64_t saved_ = -1;                                     // the step of the newest checkpoint
  int64_t save_every_before_ = 0;                          // of the session before
  double images_since_line_ = 0, seconds_since_line_ = 0;  // of metrics.jsonl
};

// Throws UsageError where a new run would overwrite another, or files that are no run's.
void check_is_new(const std::string& run) {
  if (!holds_run(run)) refuse_lone_model(run);
  const auto refuse = [&](const std::string& what) {
    fail_usage("train", fmt::format("{} {}, or choose another directory", run, what));
  };
  if (!list_checkpoints(run).empty() || exists(in_run(run, "model.safetensors")))
    refuse("already holds a run; add --resume to continue it");
  if (exists(in_run(run, "config.json"))) {
    try {
      const int64_t save_every = read_run_options(run).run.save_every;
      if (MetricsLog::last_step(run) <= save_every) return;  // killed before its first save
    } catch (const SystemError&) {
      throw;
    } catch (const Error& error) {
      refuse(fmt::format("holds a config.json that is no run's; move it away ({})", error.what()));
    }
    refuse("holds a run that has lost its checkpoints; put them back and add --resume");
  }
  if (MetricsLog::is_foreign(run)) refuse("holds a metrics.jsonl that is no run's; move it away");
}

}  // namespace

bool holds_run(const std::string& run) {
  return exists(in_run(run, "config.json")) || !list_checkpoints(run).empty();
}

TrainOptions read_run_options(const std::string& run) {
  return read_run_config(run, [](const std::string&) {}).options;
}

TrainResult train(const TrainOptions& options, const RunRequest& request, const TrainEvents& events,
                  const std::atomic<bool>& stop) {
  options.check();
  const ImageSize size = parse_image_size(options.data.size);
  options.model_config(0, 0, 3).network.check_image(size.height, size.width);
  if (options.run.threads > 0) set_num_threads(static_cast<int>(options.run.threads));
  // Before pictures are read, with the fewest channels that they may have.
  require_memory_for_training(options.model_config(size.height, size.width, 1),
                              options.optimizer.batch, options.optimizer.recompute, 0);
  if (request.resume && !holds_run(request.directory)) fail_no_run(request.directory);
  NewFolder folder(request.directory);  // a mistake in an option leaves none behind
  FolderLock lock(request.directory);
  if (!request.resume) check_is_new(request.directory);
  Session session(options, request, events, stop);
  session.require_writable();
  session.prepare();
  folder.keep();
  const TrainResult result = session.train();
  try {
    lock.release();
  } catch (const SystemError& error) {
    if (events.warned) events.warned(error.what());
  }
  return result;
}

}  // namespace ddpm
