#include "ddpm/engine/run/session.h"

#include <fmt/core.h>

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/base/lock.h"
#include "ddpm/base/memory.h"
#include "ddpm/base/text.h"
#include "ddpm/diffusion/process.h"
#include "ddpm/diffusion/sampler.h"
#include "ddpm/engine/budget.h"
#include "ddpm/engine/checkpoint.h"
#include "ddpm/engine/drawing_ranks.h"
#include "ddpm/engine/memory_check.h"
#include "ddpm/engine/run/directory.h"
#include "ddpm/engine/run/metrics_log.h"
#include "ddpm/engine/run/start.h"
#include "ddpm/engine/streams.h"
#include "ddpm/nn/network.h"
#include "ddpm/tensor/allocator.h"

namespace ddpm {
namespace {

// Until the first save is measured: the bytes per second of a usual disk, and the seconds for the
// curve of the loss.
constexpr double kSaveSpeed = 2e8, kCurveSeconds = 0.1;

}  // namespace

RunSession::Stepping::Stepping(RunSession& session) : session_(session) {
  const std::lock_guard lock(session_.mutex_);
  session_.check_not_inside_step("step()");
  session_.stepping_ = true;
  session_.worker_ = std::this_thread::get_id();
}

RunSession::Stepping::~Stepping() {
  const std::lock_guard lock(session_.mutex_);
  session_.stepping_ = false;
  ++session_.steps_ended_;
  if (session_.waiting_ == 0) return;
  try {
    session_.published_ = std::make_shared<std::vector<Tensor>>(session_.copy_of_average());
    session_.published_step_ = session_.steps();
  } catch (...) {
    // No memory for a copy. The waiting threads throw an error about it.
    session_.published_ = nullptr;
  }
  session_.step_ended_.notify_all();
}

RunSession::~RunSession() {
  try {
    if (log_ && log_->waiting_lines() > 0)
      warn(fmt::format("lines of metrics.jsonl that are lost: {}", log_->waiting_lines()));
    lock_.release();
  } catch (const std::exception& error) {
    try {
      warn(error.what());
    } catch (...) {
      // The observer itself failed, so the error cannot be reported.
    }
  }
}

RunMemoryForecast RunSession::forecast_memory(int64_t needed) {
  const AvailableMemory available = available_to_tensors();
  const ProcessMemory now = process_memory();
  const AllocatorStats stats = allocator_stats();
  // The tensors use what the allocator holds for them first.
  const int64_t waiting = std::max<int64_t>(stats.bytes_reserved - stats.bytes_in_use, 0);
  const int64_t more = std::max<int64_t>(needed - waiting, 0);
  return {.peak_bytes = std::max(now.resident + more, now.peak),
          .more_bytes = more,
          .available_bytes = std::max<int64_t>(available.bytes - waiting, 0),
          .limit = available.limit};
}

void RunSession::start(const PictureLoader& pictures, const RunPlanner& planner) {
  check_is_new(directory_);
  is_new_ = true;
  require_writable(directory_);
  open_pace();
  load(pictures, false, {}, planner);
  choose_way_to_add();
  config_ = start_config(options_, model(), fingerprint_);
  make_trainer();
}

void RunSession::go_on(const PictureLoader& pictures, bool accept_changed_data) {
  require_writable(directory_);
  const Warn warn_of = [this](const std::string& text) { warn(text); };
  config_ = read_run_config(directory_, warn_of);
  adopt_started_options(config_.options, options_);
  check_same_end(config_.options.optimizer.budget, options_.optimizer.budget);
  open_pace();
  save_every_before_ = config_.options.run.save_every;
  if (list_checkpoints(directory_).empty()) check_never_saved(directory_, config_);
  const DataFingerprint before = read_data_index(directory_, config_);
  index_ = read_picture_index(directory_);
  load(pictures, true, before);
  if (config_.data_hashes.empty()) {
    warn(
        fmt::format("version 0.1.0, which started {}, did not record its pictures; the present "
                    "pictures are taken to be the same",
                    directory_));
  }
  check_data(directory_, config_, before, fingerprint_, accept_changed_data);
  check_classes(directory_, config_, model().class_names);
  const OptimizerOptions before_now = config_.options.optimizer;
  config_.options = options_;
  // In this session only.
  choose_way_to_add();
  if (config_.id.empty()) adopt_old_run(config_, model(), fingerprint_);
  make_trainer();
  saved_ = load_newest_checkpoint(directory_, config_, *trainer_, warn_of);
  require_lines_of_clock();
  warn_of_new_end(before_now);
}

// Libraries, and the stacks and heaps of threads. Tensors do not count.
int64_t RunSession::mapped_while_loading() const {
  const int64_t grown = process_memory().address_space - address_space_before_;
  return std::max<int64_t>(grown - allocator_stats().bytes_reserved, 0);
}

void RunSession::make_trainer() {
  const OptimizerOptions& options = options_.optimizer;
  feed_.emplace(feed_of(pictures_, options_));
  // The memory of the pictures is already in use, so only that of the training is checked.
  const RunMemoryOptions asked{.optimizer = options,
                               .run = options_.run,
                               .pictures = pictures_->size(),
                               .bytes_to_come = pictures_->bytes_to_come(),
                               .validates = validation_.has_value(),
                               .mapped = mapped_while_loading(),
                               .ranks = count_ranks(ranks_),
                               .resumed = !is_new_};
  require_memory_for_run(model(), asked, 0);
  memory_ = forecast_memory(run_memory(model(), asked).total() + asked.bytes_to_come);
  warn_of_idle_ranks();
  tell_ranks_to_train();
  const BatchSource source = [this](int64_t step) { return pictures_of(step); };
  const bool alone = ranks_ == nullptr || ranks_->size() == 1;
  trainer_ = alone ? std::make_unique<Trainer>(options, model(), source)
                   : std::make_unique<Trainer>(options, model(), source, *ranks_);
  if (!alone) feed_->set_part(trainer_->own_pictures());
  averaged_ = trainer_->averaged_network();
  const Process process(trainer_->config().process);
  const auto passes = [&](int64_t steps) { return completed({.steps = steps}, process).steps; };
  forecast_ = Forecast(
      options_, {.grid = passes(options_.run.sample_steps),
                 .evaluation = passes(0),
                 .validation = validation_ ? validation_->count() : 0,
                 .validate_every = validate_every_,
                 .save_seconds = kCurveSeconds + static_cast<double>(save_bytes()) / kSaveSpeed});
}

void RunSession::begin() {
  attempt("temporary files of a session that was killed stay for now",
          [&] { remove_leftovers(directory_); });
  make_folder(in_run(directory_, "checkpoints"));
  make_folder(in_run(directory_, "samples"));
  if (options_.run.snapshot_every > 0) make_folder(in_run(directory_, "snapshots"));
  make_average_folders();
  first_step_ = steps();
  forget_averages_after(first_step_);
  {
    const std::lock_guard lock(mutex_);
    seen_.steps = first_step_;
  }
  begin_pace();
  log_.emplace(directory_, first_step_);
  if (log_->damaged_lines() > 0)
    warn(fmt::format("metrics.jsonl is damaged; lines left out: {}", log_->damaged_lines()));
  evaluations_.emplace(directory_, first_step_);
  // A run that was stopped before its first save may have left one.
  if (is_new_ && exists(in_run(directory_, "guard.jsonl")))
    remove_file(in_run(directory_, "guard.jsonl"));
  guard_.emplace(directory_);
  if (guard_->damaged_lines() > 0)
    warn(fmt::format("guard.jsonl is damaged; lines left out: {}", guard_->damaged_lines()));
  if (options_.run.tensorboard) {
    attempt("nothing is written for TensorBoard",
            [&] { board_.emplace(directory_, first_step_ + 1); });
  }
  write_run_config(directory_, config_, trainer_->config());
  write_data_index(directory_, fingerprint_);
  if (!index_is_written_ && !index_.pictures.empty()) write_picture_index(directory_, index_);
  // From here on only the file is needed.
  index_ = {};
  if (first_step_ > 0) finish_last_save();
  model_saved_ = first_step_;
  if (!done()) warn_of_next_save();
}

RunMetrics RunSession::step() {
  if (done()) fail("train", fmt::format("all {} steps are done", last_step()));
  const double begin = now();
  const StepMetrics done_step = guarded_step();
  const double end = now(), seconds = std::max(end - begin, 1e-9);
  const auto batch = static_cast<double>(options_.optimizer.batch);
  // With what came after the step before, such as its lines.
  if (done_step.skipped.empty())
    forecast_.took(RunWork::kStep, end - counted_until_.value_or(begin));
  counted_until_ = end;
  RunMetrics metrics{.step = done_step.step,
                     .loss = done_step.loss,
                     .gradient_norm = done_step.gradient_norm,
                     .learning_rate = done_step.learning_rate,
                     .images_per_s = batch / seconds,
                     .skipped = !done_step.skipped.empty(),
                     .rank_seconds = done_step.rank_seconds};
  if (steps() < metrics.step) {
    // The run returned to an earlier step.
    const std::lock_guard lock(mutex_);
    seen_.steps = steps();
    return metrics;
  }
  plan_rest();
  metrics.seconds_left = seconds_left();
  metrics.planned_steps = planned_steps();
  metrics.progress = progress();
  images_since_line_ += batch;
  seconds_since_line_ += seconds;
  std::optional<ValidationLoss> validation;
  if (!metrics.skipped && validation_due())
    timed(RunWork::kValidation, [&] { validation = validate(); });
  if (validation) {
    metrics.validation_loss = validation->mean;
    metrics.validation_by_level = validation->by_level;
  }
  if (!metrics.skipped && (due(options_.run.log_every) || validation_due() || done()))
    write_line(done_step, validation);
  {
    const std::lock_guard lock(mutex_);
    seen_.steps = metrics.step;
    seen_.metrics = metrics;
  }
  if (observer_.stepped) observer_.stepped(metrics);
  if (writes_something() && !has_finite_state()) {
    warn(
        fmt::format("nothing is written of step {}, because its weights or the optimizer's state "
                    "are not finite",
                    steps()));
    return metrics;
  }
  // Before the checkpoint: a run that continues from the checkpoint has the snapshot.
  if (due(options_.run.snapshot_every)) timed(RunWork::kSnapshot, [&] { save_snapshot(); });
  if (power_averages_due()) timed(RunWork::kPowerAverages, [&] { keep_power_averages(); });
  if (done()) return metrics;
  // In a row of skipped steps the weights may be what is wrong.
  if (due(options_.run.save_every) && guard_->in_a_row(steps() + 1) == 0)
    timed(RunWork::kSave, [&] { save_unless_full(); });
  if (due(options_.run.sample_every)) timed(RunWork::kGrid, [&] { draw_grid(); });
  if (due(options_.run.eval_every)) timed(RunWork::kEvaluation, [&] { evaluate(); });
  return metrics;
}

// Whether a file with weights, or one that is made with them, is due after this step.
bool RunSession::writes_something() const {
  const RunOptions& run = options_.run;
  return due(run.save_every) || due(run.snapshot_every) || due(run.sample_every) ||
         due(run.eval_every) || power_averages_due();
}

void RunSession::timed(RunWork work, const std::function<void()>& action) {
  const double begin = now();
  action();
  const double seconds = now() - begin;
  forecast_.took(work, seconds);
  if (counted_until_) *counted_until_ += seconds;
}

std::vector<Tensor> RunSession::copy_of_average() const {
  std::vector<Tensor> copy = trainer_->fetch_all(trainer_->averages().front().values);
  for (Tensor& tensor : copy) tensor = tensor.clone();
  return copy;
}

Tensor RunSession::sample(GenerateOptions options) {
  Network& network = averaged();
  const std::unique_ptr<DrawingRanks> ranks = trainer_->drawing_ranks(network);
  options.ranks = ranks.get();
  return generate(network, trainer_->config(), options);
}

Network& RunSession::averaged() {
  trainer_->refresh(*averaged_);
  return *averaged_;
}

// For a caller that holds the mutex: Pictures::batch() runs inside a step, and what waits for the
// end of that step there would wait forever.
void RunSession::check_not_inside_step(const char* call) const {
  if (stepping_ && worker_ == std::this_thread::get_id()) {
    fail("train",
         fmt::format("{} was called from inside step(), for example by Pictures::batch()", call));
  }
}

RunSnapshot RunSession::snapshot() const {
  const std::lock_guard lock(mutex_);
  return seen_;
}

Model RunSession::averaged_model() const {
  std::vector<Tensor> weights;
  Model model{.config = trainer_->config(), .path = directory_};
  {
    std::unique_lock lock(mutex_);
    check_not_inside_step("averaged_model()");
    if (!stepping_) {
      weights = copy_of_average();
      model.trained_steps = steps();
    } else {
      ++waiting_;
      const uint64_t before = steps_ended_;
      step_ended_.wait(lock, [&] { return steps_ended_ > before; });
      const std::shared_ptr<const std::vector<Tensor>> published = published_;
      if (--waiting_ == 0) published_ = nullptr;
      if (!published) fail("train", "there is no memory for a copy of the averaged weights");
      weights = *published;
      model.trained_steps = published_step_;
    }
  }
  model.network = make_network(model.config.network, trainer_->network().device());
  const std::vector<NamedParameter> parameters = model.network->parameters();
  for (size_t i = 0; i < parameters.size(); ++i)
    parameters[i].parameter->variable = Variable(weights[i]);
  return model;
}

}  // namespace ddpm
