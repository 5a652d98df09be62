// The file metrics.jsonl and the loss curve drawn from it. Private to engine/run/.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ddpm/engine/trainer.h"

namespace ddpm {

// The repaired contents of a metrics.jsonl: whole lines in the order of their steps, each step
// once.
struct MetricsText {
  std::string text;
  std::vector<int64_t> steps;
  std::vector<double> losses;
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

  // Appends a line. Throws SystemError if that fails, for instance on a full disk.
  void append(const StepMetrics& metrics, double images_per_s);
  // Returns once all lines are on the disk.
  void sync();
  // How many lines were left out when the file was repaired.
  int64_t damaged_lines() const { return damaged_; }
  // Draws RUN/loss.png from all lines so far.
  void draw() const;

 private:
  std::string run_;
  std::string path_;
  int descriptor_ = -1;
  std::vector<int64_t> steps_;
  std::vector<double> losses_;
  int64_t damaged_ = 0;
};

}  // namespace ddpm
