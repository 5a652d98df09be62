// The averages that a session keeps besides the one that samples are drawn with. Those of
// half-lives are replaced at every save, like the model. Power-function averages are kept at every
// power_average_every-th step, like snapshots.
#include <fmt/core.h>

#include <string>
#include <vector>

#include "ddpm/base/file.h"
#include "ddpm/engine/power_averages.h"
#include "ddpm/engine/run/directory.h"
#include "ddpm/engine/run/session.h"
#include "ddpm/nn/network.h"

namespace ddpm {

void RunSession::make_average_folders() {
  const std::vector<NamedAverage> averages = trainer_->averages();
  if (averages.size() > 1) make_folder(in_run(directory_, "averages"));
  for (const NamedAverage& average : averages)
    if (average.width > 0) make_folder(power_average_folder(directory_, average.name));
}

void RunSession::write_other_average(const NamedAverage& average) {
  save_model(average_path(directory_, average.name), trainer_->config(), trainer_->network(),
             trainer_->fetch_all(average.values), steps(), config_.id);
}

void RunSession::write_other_averages() {
  const std::vector<NamedAverage> averages = trainer_->averages();
  for (size_t k = 1; k < averages.size(); ++k)
    if (averages[k].width == 0) write_other_average(averages[k]);
}

void RunSession::keep_power_average(const NamedAverage& average) {
  // Before the first step that was not skipped there is nothing to average.
  const int64_t updates = trainer_->optimizer().steps();
  if (updates == 0) return;
  const KeptAverage kept{.width = average.width, .pictures = updates * options_.optimizer.batch};
  save_model(power_average_path(directory_, average.name, steps()), trainer_->config(),
             trainer_->network(), trainer_->fetch_all(average.values), steps(), config_.id,
             kept.metadata());
}

void RunSession::keep_power_averages() {
  attempt_unless_full(fmt::format("the power averages of step {} are missing", steps()), [&] {
    for (const NamedAverage& average : trainer_->averages())
      if (average.width > 0) keep_power_average(average);
  });
}

// Writes those that belong to the newest checkpoint and are missing, older or damaged.
void RunSession::repair_averages() {
  const std::vector<NamedAverage> averages = trainer_->averages();
  for (size_t k = 1; k < averages.size(); ++k) {
    const NamedAverage& average = averages[k];
    if (average.width == 0) {
      const std::string path = average_path(directory_, average.name);
      if (step_of_model(path, config_.id).value_or(-1) < steps()) write_other_average(average);
    } else if (power_averages_due()) {
      const std::string path = power_average_path(directory_, average.name, steps());
      if (step_of_model(path, config_.id) != steps()) keep_power_average(average);
    }
  }
}

// The run goes on from this step. What was kept later may be of steps that it will not do again.
void RunSession::forget_averages_after(int64_t step) {
  attempt("averages of later steps stay for now", [&] {
    for (const std::string& folder : power_average_folders(directory_)) {
      for (const StepFile& file : list_step_files(folder))
        if (file.step > step) remove_file(file.path);
    }
  });
}

}  // namespace ddpm
