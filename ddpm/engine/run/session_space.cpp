// What a session does about a full disk: the training goes on, and the next save tries again.
#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <optional>
#include <string>

#include "ddpm/base/disk.h"
#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/base/memory.h"
#include "ddpm/engine/run/session.h"
#include "ddpm/engine/run/start.h"
#include "ddpm/engine/weights.h"
#include "ddpm/nn/network.h"

namespace ddpm {
namespace {

int64_t bytes_of(const std::vector<Tensor>& tensors) {
  int64_t bytes = 0;
  for (const Tensor& tensor : tensors) bytes += tensor.bytes();
  return bytes;
}

}  // namespace

// What a checkpoint, the model and the files of other averages take. Both are written beside the
// older ones, which are removed later.
int64_t RunSession::save_bytes() const {
  // An entry of the header takes its name and about 100 bytes, the options take some kilobytes.
  constexpr int64_t kEntry = 200, kHeader = 1 << 14;
  const std::vector<Tensor> weights = parameter_tensors(trainer_->network());
  std::vector<Tensor> state;
  for (const StateTensor& each : trainer_->optimizer().state()) state.push_back(each.tensor);
  int64_t averages = 0;
  for (const NamedAverage& average : trainer_->averages()) averages += bytes_of(average.values);
  const int64_t entries = 3 * std::ssize(weights) + std::ssize(state);
  return bytes_of(weights) + 2 * averages + bytes_of(state) + entries * kEntry + 2 * kHeader;
}

// "a save takes 540 MB, 12 MB are free on the disk of RUN, 528 MB are missing". Empty if there is
// enough space, or if the system does not tell.
std::string RunSession::missing_space() const {
  const std::optional<int64_t> free = free_disk_bytes(directory_);
  const int64_t needed = save_bytes();
  if (!free || *free >= needed) return "";
  const auto text = [](int64_t bytes) { return memory_text(static_cast<double>(bytes)); };
  return fmt::format("a save takes {}, {} are free on the disk of {}, {} are missing", text(needed),
                     text(*free), directory_, text(needed - *free));
}

void RunSession::require_space_for_save() const {
  const std::string missing = missing_space();
  if (!missing.empty())
    fail_system("train", fmt::format("{}; {}", std::strerror(ENOSPC), missing), ENOSPC);
}

void RunSession::save_unless_full() {
  try {
    save();
  } catch (const SystemError& error) {
    if (!is_disk_full(error.code())) throw;
    mark_not_saved();
    const int64_t next = std::min(steps() + options_.run.save_every, last_step());
    warn(
        fmt::format("step {} was not saved ({}); training goes on, and the next save is tried "
                    "after step {}",
                    steps(), without_place(error.what()), next));
    space_is_short_ = true;
  }
}

// So that a resumed run does not take its checkpoints to be lost.
void RunSession::mark_not_saved() {
  if (saved_ > 0) return;
  try {
    write_file_atomic(not_saved_mark(directory_), "");
  } catch (const Error&) {
    // There is no space even for that.
  }
}

void RunSession::save_at_end() {
  try {
    save();
  } catch (const SystemError& error) {
    if (!is_disk_full(error.code())) throw;
    mark_not_saved();
    const std::string kept =
        saved_ == steps() ? "its checkpoint is there, but model.safetensors is an older one"
        : saved_ > 0      ? fmt::format("what was learnt after step {} is lost", saved_)
                          : "nothing was saved before, so a resumed run starts at step 0";
    fail_system("train",
                fmt::format("step {} could not be saved ({}), and {}; free some space", steps(),
                            without_place(error.what()), kept),
                error.code());
  }
}

// Before the save is due, so that there is time to make room for it.
void RunSession::warn_of_next_save() {
  const std::string missing = missing_space();
  if (!missing.empty() && !space_is_short_)
    warn(fmt::format("there is no space for the next save; {}", missing));
  space_is_short_ = !missing.empty();
}

void RunSession::report_waiting_lines() {
  const bool wait = log_->waiting_lines() > 0;
  if (wait && !lines_wait_) {
    warn(fmt::format("the disk of {} is full ({}); the lines of metrics.jsonl wait in memory",
                     directory_, std::strerror(ENOSPC)));
  }
  if (!wait && lines_wait_) {
    const std::string lost =
        log_->lost_lines() > 0 ? fmt::format(", but {} are lost", log_->lost_lines()) : "";
    warn(fmt::format("metrics.jsonl has the lines that waited{}", lost));
  }
  lines_wait_ = wait;
}

// Runs the work, and once more if it fails. A full disk then leaves only a warning.
bool RunSession::attempt_unless_full(const std::string& consequence,
                                     const std::function<void()>& work) {
  for (const bool again : {true, false}) {
    try {
      work();
      return true;
    } catch (const SystemError& error) {
      if (!is_disk_full(error.code())) throw;
      if (!again) warn(fmt::format("{}: {}", consequence, without_place(error.what())));
    }
  }
  return false;
}

}  // namespace ddpm
