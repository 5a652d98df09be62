// The file metrics.jsonl and the loss curve drawn from it. Private to engine/run/.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ddpm/data/plot.h"
#include "ddpm/engine/trainer.h"
#include "ddpm/engine/validation.h"

namespace ddpm {

// The repaired contents of a metrics.jsonl: whole lines in the order of their steps, each step
// once.
struct MetricsText {
  std::string text;
  std::vector<int64_t> steps;
  std::vector<double> losses;
  // Of the lines that have one.
  ValidationCurve validation;
  // How many lines were left out, except for those of steps after `last_step`.
  int64_t damaged = 0;
};
// Leaves out lines of steps after `last_step`, lines that are cut short or damaged, and as few
// further lines as possible so that the steps rise.
MetricsText mend_metrics(std::string_view text, int64_t last_step);

class MetricsLog {
 public:
  // Opens RUN/metrics.jsonl and repairs it. Lines of steps after `last_step` come from a session
  // that was killed before its next checkpoint. They are removed. Throws SystemError if the file
  // cannot be read or written.
  MetricsLog(const std::string& run, int64_t last_step);
  ~MetricsLog();
  MetricsLog(const MetricsLog&) = delete;
  MetricsLog& operator=(const MetricsLog&) = delete;

  // The last step in RUN/metrics.jsonl. 0 if there is none.
  static int64_t last_step(const std::string& run);
  // Whether RUN/metrics.jsonl has contents but no line of ours.
  static bool is_foreign(const std::string& run);

  // Appends a line, with a validation if there is one. If the disk is full, the line waits in
  // memory and is written by the next call for which there is space. The file holds whole lines in
  // any case. Throws SystemError for other failures.
  void append(const StepMetrics& metrics, double images_per_s,
              const std::optional<ValidationLoss>& validation = std::nullopt);
  // Whether the last line is of this step and has no validation.
  bool lacks_validation(int64_t step) const;
  // Adds a validation to the last line, which lacks it. Throws SystemError if that fails, and
  // then changes nothing.
  void add_validation(const ValidationLoss& validation);
  // Returns once all lines are on the disk. Throws SystemError, also if the disk is full.
  void sync();
  // How many lines wait for space. Of more than kMostWaiting, the oldest are lost.
  int64_t waiting_lines() const { return static_cast<int64_t>(waiting_.size()); }
  int64_t lost_lines() const { return lost_; }
  static constexpr size_t kMostWaiting = 100'000;
  // How many lines were left out when the file was repaired.
  int64_t damaged_lines() const { return damaged_; }
  // Draws RUN/loss.png from all lines so far.
  void draw() const;

 private:
  // Writes the lines that wait. Returns 0, or the error of a full disk.
  int write_waiting();
  void open_to_append();

  std::string run_;
  std::string path_;
  int descriptor_ = -1;
  // The bytes of the whole lines in the file.
  int64_t size_ = 0;
  std::deque<std::string> waiting_;
  int64_t lost_ = 0;
  std::vector<int64_t> steps_;
  std::vector<double> losses_;
  ValidationCurve validation_;
  int64_t damaged_ = 0;
};

}  // namespace ddpm
