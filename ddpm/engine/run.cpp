#include "ddpm/engine/run.h"

#include <fmt/core.h>

#include <chrono>
#include <filesystem>
#include <set>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/base/options.h"
#include "ddpm/base/philox.h"
#include "ddpm/base/threads.h"
#include "ddpm/base/version.h"
#include "ddpm/data/image.h"
#include "ddpm/engine/checkpoint.h"
#include "ddpm/engine/generator.h"
#include "ddpm/engine/metrics_log.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

enum Purpose : uint64_t { kPictureOrder = 4 };  // beside the trainer's own

std::string in_run(const std::string& run, const std::string& name) {
  return (fs::path(run) / name).string();
}

// Options that a resumed run may change: they decide how long it runs and what it writes, not what
// is learnt.
bool may_change(std::string_view field) {
  static const std::set<std::string_view> free = {
      "data",         "steps",        "threads",      "log_every",       "save_every",
      "sample_every", "sample_count", "sample_steps", "keep_checkpoints"};
  return free.contains(field);
}

void write_run_options(const std::string& run, const TrainOptions& options,
                       const ModelConfig& config) {
  JsonObject object;
  object.set("version", json_value::write(std::string(version())));
  write_options(options, object);
  object.set("model", to_json(config));
  write_file_atomic(in_run(run, "config.json"), object.dump(2) + "\n");
}

// One training session over one directory.
class Session {
 public:
  Session(const TrainOptions& options, const std::string& run, const TrainEvents& events)
      : options_(options), run_(run), events_(events) {}

  TrainResult train(bool resume, const std::atomic<bool>& stop) {
    const LoadedSource source = load();
    const Dataset& pictures = source.dataset;
    BatchSampler sampler({.images = pictures.size(),
                          .batch = options_.batch,
                          .seed = mix_seed(options_.seed, kPictureOrder),
                          .flip = options_.flip});
    Trainer trainer(options_,
                    options_.model_config(pictures.image_size().height, pictures.image_size().width,
                                          pictures.channels()),
                    [&](int64_t step) { return pictures.batch(sampler.at(step)); });
    if (resume) {
      if (const auto newest = newest_checkpoint(run_)) {
        load_checkpoint(*newest, trainer.network(), trainer.adam());
      }
    }
    const int64_t first_step = trainer.steps();
    write_run_options(run_, options_, trainer.config());
    MetricsLog log(run_, first_step);
    averaged_ = trainer.averaged_network();
    if (events_.started)
      events_.started(trainer.config(), trainer.network().parameter_count(), first_step);

    while (trainer.steps() < options_.steps && !stop) {
      const Clock::time_point begin = Clock::now();
      const StepMetrics metrics = trainer.step();
      const double images_per_s = static_cast<double>(options_.batch) /
                                  std::chrono::duration<double>(Clock::now() - begin).count();
      const bool last = metrics.step == options_.steps || stop;
      if (metrics.step % options_.log_every == 0 || last) log.append(metrics, images_per_s);
      if (events_.stepped) events_.stepped(metrics, images_per_s);
      if (last) break;
      if (metrics.step % options_.save_every == 0) save(trainer, log);
      if (options_.sample_every > 0 && metrics.step % options_.sample_every == 0)
        draw_samples(trainer);
    }
    if (trainer.steps() > first_step || !resume) save(trainer, log);
    const bool finished = trainer.steps() >= options_.steps;
    if (finished && options_.sample_every > 0) draw_samples(trainer);
    return {.steps = trainer.steps(), .finished = finished};
  }

 private:
  LoadedSource load() {
    LoadedSource source = load_source(options_.data,
                                      {.size = parse_image_size(options_.size),
                                       .channels = options_.channels,
                                       .background = options_.background},
                                      events_.loading);
    if (events_.loaded) events_.loaded(source.report, source.dataset);
    return source;
  }

  void save(Trainer& trainer, const MetricsLog& log) {
    const std::string path = checkpoint_path(run_, trainer.steps());
    save_checkpoint(path, trainer.config(), trainer.network(), trainer.adam());
    save_model(in_run(run_, "model.safetensors"), trainer.config(), trainer.network(),
               trainer.adam().ema(), trainer.steps());
    prune_checkpoints(run_, options_.keep_checkpoints);
    log.draw();
    if (events_.saved) events_.saved(path);
  }

  void draw_samples(const Trainer& trainer) {
    const Tensor images = generate(*averaged_, trainer.config(),
                                   {.count = options_.sample_count,
                                    .seed = options_.seed,
                                    .steps = options_.sample_steps,
                                    .prepare_weights = false});  // the memory is training's
    const ImageSize size{trainer.config().height, trainer.config().width};
    const std::string path = in_run(run_, fmt::format("samples/step-{:08}.png", trainer.steps()));
    write_png(path, make_grid(to_bytes(images), {.scale = comfortable_scale(size)}));
    if (events_.saved) events_.saved(path);
  }

  const TrainOptions& options_;
  const std::string& run_;
  const TrainEvents& events_;
  std::unique_ptr<DiffusionUnet> averaged_;
};

}  // namespace

TrainOptions read_run_options(const std::string& run) {
  const std::string path = in_run(run, "config.json");
  std::error_code error;
  if (!fs::exists(path, error)) {
    fail("train", fmt::format("{} holds no config.json, so there is no run to resume; leave "
                              "--resume out to start one",
                              run));
  }
  TrainOptions options;
  read_options(JsonObject::parse(read_file(path), path), options);
  return options;
}

void check_resumable(const TrainOptions& started_with, const TrainOptions& now) {
  JsonObject before, after;
  write_options(started_with, before);
  write_options(now, after);
  for (const auto& [name, value] : before.members()) {
    if (may_change(name) || *after.find(name) == value) continue;
    fail_usage("train", fmt::format("the run was started with {} = {} and cannot be resumed with "
                                    "{}; leave the option out, or "
                                    "start a new run in another directory",
                                    name, value, *after.find(name)));
  }
}

TrainResult train(const TrainOptions& options, const std::string& run, bool resume,
                  const TrainEvents& events, const std::atomic<bool>& stop) {
  options.check();
  const ImageSize size = parse_image_size(options.size);
  options.model_config(0, 0, 3).network.check_image(size.height, size.width);
  if (options.threads > 0) set_num_threads(static_cast<int>(options.threads));
  if (resume) {
    check_resumable(read_run_options(run), options);
  } else if (newest_checkpoint(run) || fs::exists(in_run(run, "model.safetensors"))) {
    fail_usage(
        "train",
        fmt::format(
            "{} already holds a run; add --resume to continue it, or choose another directory",
            run));
  }
  make_folder(in_run(run, "checkpoints"));
  make_folder(in_run(run, "samples"));
  return Session(options, run, events).train(resume, stop);
}

}  // namespace ddpm
