// The files that a session writes besides its metrics: checkpoints, the model, snapshots and grids.
#include <fmt/core.h>

#include <algorithm>
#include <exception>
#include <functional>
#include <mutex>
#include <string>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/data/image.h"
#include "ddpm/engine/checkpoint.h"
#include "ddpm/engine/drawing_ranks.h"
#include "ddpm/engine/run/directory.h"
#include "ddpm/engine/run/sample_grid.h"
#include "ddpm/engine/run/session.h"
#include "ddpm/engine/run/start.h"
#include "ddpm/nn/network.h"

namespace ddpm {

// Runs the work, and runs it again if it fails. If it fails twice, warns. Returns whether it
// succeeded.
bool RunSession::attempt(const char* consequence, const std::function<void()>& work) const {
  for (const bool again : {true, false}) {
    try {
      work();
      return true;
    } catch (const std::exception& error) {
      // The other ranks would wait for what this one could not do.
      if (ranks_ != nullptr && dynamic_cast<const std::bad_alloc*>(&error) != nullptr) throw;
      if (!again) warn(fmt::format("{}: {}", consequence, error.what()));
    }
  }
  return false;
}

// Does what the last session could not do after its last checkpoint.
void RunSession::finish_last_save() {
  const std::string model = in_run(directory_, "model.safetensors");
  // There may be a later model whose checkpoint is damaged. It is kept until training reaches its
  // step again.
  if (step_of_model(model, config_.id).value_or(-1) < steps()) write_averaged(model);
  if (due(options_.run.snapshot_every)) {
    const std::string snapshot = snapshot_path(directory_, steps());
    if (step_of_model(snapshot, config_.id) != steps()) write_averaged(snapshot);
  }
  repair_averages();
  complete_validation();
  tidy_up();
  {
    const std::lock_guard lock(mutex_);
    seen_.checkpoint = checkpoint_path(directory_, steps());
    seen_.model = model;
  }
  if (due(options_.run.sample_every) && !done() && !has_grid()) draw_grid();
  if (due(options_.run.eval_every) && !done()) evaluate();
}

void RunSession::save() {
  // Before the first step there is nothing to save: a resumed run starts from the beginning.
  if (steps() == 0 || (saved_ == steps() && model_saved_ == steps())) return;
  if (!has_finite_state()) {
    fail("train", fmt::format("step {} was not saved, because its weights or the optimizer's state "
                              "are not finite; {}. {}",
                              steps(),
                              saved_ > 0 ? fmt::format("the save of step {} is kept", saved_)
                                         : "nothing was saved before",
                              trainer_->advice()));
  }
  require_space_for_save();
  log_->sync();
  guard_->sync();
  save_pace();
  report_waiting_lines();
  const std::string path = checkpoint_path(directory_, steps());
  if (saved_ != steps()) {
    save_checkpoint(path, trainer_->config(), trainer_->network(), trainer_->optimizer(),
                    marks_of(config_), steps() - trainer_->optimizer().steps(),
                    trainer_->averages(),
                    [this](const Tensor& place) { return trainer_->fetch(place); });
    if (saved_ <= 0 && exists(not_saved_mark(directory_))) remove_file(not_saved_mark(directory_));
    saved_ = steps();
  }
  write_averaged(in_run(directory_, "model.safetensors"));
  write_other_averages();
  model_saved_ = steps();
  tidy_up();
  {
    const std::lock_guard lock(mutex_);
    seen_.checkpoint = path;
    seen_.model = in_run(directory_, "model.safetensors");
  }
  tell_saved(path);
  if (!done()) warn_of_next_save();
}

bool RunSession::finish() {
  save_at_end();
  const bool complete = finish_last_step();
  close_pace();
  return complete;
}

// What is due after the last step and its save. Returns false if steps are left or if the observer
// stopped it.
bool RunSession::finish_last_step() {
  if (!done() || !complete_validation()) return false;
  const bool has_last_grid = grid_ == steps() || (steps() == first_step_ && has_grid());
  return (has_last_grid || draw_grid()) && evaluate();
}

void RunSession::write_averaged(const std::string& path) {
  save_model(path, trainer_->config(), trainer_->network(),
             trainer_->fetch_all(trainer_->averages().front().values), steps(), config_.id);
}

void RunSession::save_snapshot() {
  const std::string path = snapshot_path(directory_, steps());
  const bool written = attempt_unless_full(
      fmt::format("the snapshot of step {} is missing", steps()), [&] { write_averaged(path); });
  if (written) tell_saved(path);
}

// The work after a save that may fail without ending the training.
void RunSession::tidy_up() {
  attempt("old checkpoints stay for now", [&] {
    prune_checkpoints(directory_, {.newest = steps(),
                                   .save_every = options_.run.save_every,
                                   .save_every_before = save_every_before_,
                                   .keep = options_.run.keep_checkpoints});
  });
  attempt("the loss curve was not drawn", [&] { log_->draw(); });
}

std::string RunSession::grid_path() const {
  return in_run(directory_, fmt::format("samples/step-{:08}.png", steps()));
}

bool RunSession::has_grid() const { return options_.run.sample_every == 0 || exists(grid_path()); }

// Returns false if the observer stopped the drawing. If the drawing fails, this only warns, because
// a missing grid must not end a training.
bool RunSession::draw_grid() {
  if (options_.run.sample_every == 0) return true;
  const ImageSize size = pictures_->image_size();
  const int64_t batch = grid_batch(size.height, size.width);
  bool given_up = false;
  const bool drawn = attempt("a sample grid was not drawn", [&] {
    const GridContent content = grid_content(*pictures_, trainer_->config().network.classes(),
                                             options_.run.sample_count, options_.optimizer.seed);
    GenerateOptions request;
    request.count = content.count;
    request.seed = options_.optimizer.seed;
    request.sampling.steps = options_.run.sample_steps;
    request.labels = content.labels;
    request.batch = batch;
    // The memory is needed for training.
    request.prepare_weights = false;
    request.condition = content.conditions;
    request.progress = [&](const GenerateProgress&) {
      given_up = observer_.stopping && observer_.stopping();
      return !given_up;
    };
    const Tensor images = sample(request);
    if (!given_up) write_png(grid_path(), grid_picture(content, to_bytes(images)));
  });
  if (given_up) return false;
  if (!drawn) return true;
  grid_ = steps();
  tell_board([&](Board& board) { board.add_picture(steps(), "samples", grid_path()); });
  {
    const std::lock_guard lock(mutex_);
    seen_.samples = grid_path();
  }
  tell_saved(grid_path());
  return true;
}

// Evaluates the averaged weights, unless that was done at this step. Returns false if the observer
// stopped it. If it fails, this only warns, because a missing evaluation must not end a training.
bool RunSession::evaluate() {
  const RunOptions& run = options_.run;
  if (run.eval_every == 0 || evaluations_->has(steps())) return true;
  if (!judge_) {
    judge_.emplace(pictures_, run.eval_n);
    if (const std::string doubt = judge_->doubt(); !doubt.empty()) warn(doubt);
  }
  bool given_up = false;
  RunEvaluation evaluation{.step = steps(), .count = run.eval_n, .features = judge_->features()};
  const bool evaluated = attempt("the weights were not evaluated", [&] {
    try {
      Network& network = averaged();
      const std::unique_ptr<DrawingRanks> ranks = trainer_->drawing_ranks(network);
      evaluation.frechet = judge_->frechet(network, trainer_->config(), ranks.get(), [&] {
        given_up = observer_.stopping && observer_.stopping();
        return given_up;
      });
    } catch (const Error&) {
      if (!given_up) throw;
      return;
    }
    evaluation.best = evaluations_->would_be_best(evaluation);
    // Before its line: a run that continues evaluates again if there is no line.
    if (evaluation.best) write_averaged(in_run(directory_, "best.safetensors"));
    evaluations_->add(evaluation);
  });
  if (given_up) return false;
  if (evaluated)
    tell_board([&](Board& board) { board.add(steps(), {{"frechet", evaluation.frechet}}); });
  if (evaluated && observer_.evaluated) observer_.evaluated(evaluation);
  return true;
}

}  // namespace ddpm
