// One session of a run: from opening its directory to closing it. It implements what run.h
// describes. Private to engine/run/.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "ddpm/base/lock.h"
#include "ddpm/base/memory.h"
#include "ddpm/data/stream/picture_index.h"
#include "ddpm/engine/generator.h"
#include "ddpm/engine/model.h"
#include "ddpm/engine/run/batch_feed.h"
#include "ddpm/engine/run/directory.h"
#include "ddpm/engine/run/evaluations.h"
#include "ddpm/engine/run/forecast.h"
#include "ddpm/engine/run/guard.h"
#include "ddpm/engine/run/metrics_log.h"
#include "ddpm/engine/run/pace.h"
#include "ddpm/engine/run/run.h"
#include "ddpm/engine/run/tensorboard/board.h"
#include "ddpm/engine/run_memory.h"
#include "ddpm/engine/validation.h"

namespace ddpm {

class RunSession {
 public:
  // Locks the directory. The next call must be start() or go_on(), and then begin().
  // ranks: null if the process is alone.
  RunSession(std::string directory, TrainOptions options, RunObserver observer, Communicator* ranks)
      : directory_(std::move(directory)),
        options_(std::move(options)),
        observer_(std::move(observer)),
        ranks_(ranks),
        opened_(std::chrono::steady_clock::now()),
        lock_(directory_),
        address_space_before_(process_memory().address_space) {}
  ~RunSession();

  // Both read the directory and the pictures. They write nothing.
  void start(const PictureLoader& pictures, const RunPlanner& planner);
  void go_on(const PictureLoader& pictures, bool accept_changed_data);
  // Repairs what the last session left, and writes the files of the run.
  void begin();

  RunMetrics step();
  void save();
  bool finish();
  Tensor sample(const GenerateOptions& options) {
    return generate(averaged(), trainer_->config(), options);
  }

  const std::string& directory() const { return directory_; }
  const TrainOptions& options() const { return options_; }
  Trainer& trainer() const { return *trainer_; }
  int64_t steps() const { return trainer_->steps(); }
  int64_t first_step() const { return first_step_; }
  bool done() const { return steps() >= last_step(); }
  int64_t training_pictures() const { return pictures_->size(); }
  int64_t held_out_pictures() const { return held_out_; }
  int64_t validate_every() const { return validate_every_; }
  std::optional<double> elapsed() const;
  std::optional<RankTraffic> traffic() const;

  const RunMemoryForecast& memory() const { return memory_; }
  RunSnapshot snapshot() const;
  Model averaged_model() const;

 private:
  // Marks a step in progress, while the weights change. Its end copies the averaged weights for
  // threads that wait for them.
  class Stepping {
   public:
    explicit Stepping(RunSession& session);
    ~Stepping();
    Stepping(const Stepping&) = delete;
    Stepping& operator=(const Stepping&) = delete;

   private:
    RunSession& session_;
  };

  void load(const PictureLoader& loader, bool resumed, const DataFingerprint& known,
            const RunPlanner& planner = {});
  void require_classes() const;
  void validate_on(const std::shared_ptr<const Pictures>& held_out,
                   const std::vector<uint64_t>& hashes);
  void make_trainer();
  int64_t mapped_while_loading() const;
  static RunMemoryForecast forecast_memory(int64_t needed);
  ModelConfig model() const;

  // On several ranks, in session_ranks.cpp.
  void choose_way_to_add();
  void warn_of_idle_ranks() const;
  void tell_ranks_to_load(bool resumed, const DataFingerprint& known);
  void tell_ranks_to_train();

  // The end of the run, in session_pace.cpp.
  double now() const;
  int64_t last_step() const;
  int64_t planned_steps() const;
  double progress() const;
  std::optional<double> seconds_left() const;
  std::optional<double> decayed() const;
  double learning_rate_of_next_step() const;
  void open_pace();
  void require_lines_of_clock() const;
  void begin_pace();
  void go_on_by_the_clock();
  void warn_of_new_end(const OptimizerOptions& before) const;
  void plan_rest();
  void plan_again();
  void save_pace();
  void close_pace();
  void follow_plan();

  Batch pictures_of(int64_t step);
  StepMetrics guarded_step();
  void save_without_pictures();
  void report_skipped(const StepMetrics& metrics);
  void return_to_checkpoint(const StepMetrics& metrics);
  std::vector<std::string> names_of_pictures(int64_t step);
  bool has_finite_state() const;
  bool writes_something() const;
  void finish_last_save();
  bool finish_last_step();
  void write_averaged(const std::string& path);
  // What is kept of the averages besides the first, in session_averages.cpp.
  void make_average_folders();
  void write_other_average(const NamedAverage& average);
  void write_other_averages();
  void keep_power_average(const NamedAverage& average);
  void keep_power_averages();
  // Also after the last step, so that a short run has some.
  bool power_averages_due() const {
    return options_.keeps_power_averages() && (due(options_.run.power_average_every) || done());
  }
  void repair_averages();
  void forget_averages_after(int64_t step);
  void save_snapshot();
  void tidy_up();

  // About a full disk (session_space.cpp).
  int64_t save_bytes() const;
  std::string missing_space() const;
  void require_space_for_save() const;
  void save_unless_full();
  void mark_not_saved();
  void save_at_end();
  void warn_of_next_save();
  void report_waiting_lines();
  bool attempt_unless_full(const std::string& consequence, const std::function<void()>& work);
  // Does what is due after a step, and measures how long it takes.
  void timed(RunWork work, const std::function<void()>& action);
  // Whether something that happens every `every` steps is due.
  bool due(int64_t every) const { return every > 0 && steps() % every == 0; }
  std::string grid_path() const;
  bool has_grid() const;
  bool draw_grid();
  bool evaluate();

  bool validation_due() const { return validation_ && (due(validate_every_) || done()); }
  std::optional<ValidationLoss> validate();
  bool complete_validation();
  void write_line(const StepMetrics& metrics, const std::optional<ValidationLoss>& validation);
  void tell_board(const std::function<void(Board&)>& tell);

  void warn(const std::string& text) const {
    if (observer_.warned) observer_.warned(text);
  }
  void tell_saved(const std::string& path) const {
    if (observer_.saved) observer_.saved(path);
  }
  bool attempt(const char* consequence, const std::function<void()>& work) const;
  std::vector<Tensor> copy_of_average() const;
  // With the present averaged weights.
  Network& averaged();
  void check_not_inside_step(const char* call) const;

  const std::string directory_;
  TrainOptions options_;
  const RunObserver observer_;
  Communicator* const ranks_;
  const std::chrono::steady_clock::time_point opened_;
  FolderLock lock_;
  // Of the process, before the pictures were loaded.
  const int64_t address_space_before_;
  RunConfig config_;
  // Those that are learnt from.
  std::shared_ptr<const Pictures> pictures_;
  // How many others there are.
  int64_t held_out_ = 0;
  // RunPictures::training_numbers
  std::vector<int64_t> picture_numbers_;
  DataFingerprint fingerprint_;
  // What the source's files were found to be, and whether the run's directory tells it already.
  PictureIndex index_;
  bool index_is_written_ = false;
  std::optional<BatchFeed> feed_;
  std::unique_ptr<Trainer> trainer_;
  // Trainer::averaged_network()
  std::unique_ptr<Network> averaged_;
  // Nothing if no pictures are held out.
  std::optional<Validation> validation_;
  int64_t validate_every_ = 0;
  std::optional<MetricsLog> log_;
  std::optional<EvaluationLog> evaluations_;
  std::optional<RunJudge> judge_;
  std::optional<Guard> guard_;
  Forecast forecast_;
  // Of a training that ends by the clock.
  std::optional<Pace> pace_;
  // The seconds of earlier sessions.
  double elapsed_before_ = 0;
  // Up to where the time of this session counts as that of a step or of something else.
  std::optional<double> counted_until_;
  RunMemoryForecast memory_;
  // The pictures of a step could not be read.
  bool pictures_failed_ = false;
  // Started, and not resumed.
  bool is_new_ = false;
  // With RunOptions::tensorboard.
  std::optional<Board> board_;
  bool warned_of_board_ = false;
  int64_t first_step_ = 0;
  // The step of the newest checkpoint, and that of model.safetensors.
  int64_t saved_ = -1, model_saved_ = -1;
  // A warning about the space for the next save, or about lines that wait, was given.
  bool space_is_short_ = false, lines_wait_ = false;
  // The step of the newest grid of this session.
  int64_t grid_ = -1;
  // RunOptions::save_every in the previous session.
  int64_t save_every_before_ = 0;
  // Since the last line in metrics.jsonl.
  double images_since_line_ = 0, seconds_since_line_ = 0;

  // The members that other threads read.
  mutable std::mutex mutex_;
  RunSnapshot seen_;
  // True while a step changes the weights.
  bool stepping_ = false;
  // The thread of that step.
  std::thread::id worker_;
  // Copies of the averaged weights for threads that wait for the end of a step.
  mutable std::condition_variable step_ended_;
  mutable int waiting_ = 0;
  mutable std::shared_ptr<const std::vector<Tensor>> published_;
  int64_t published_step_ = 0;
  uint64_t steps_ended_ = 0;
};

}  // namespace ddpm
