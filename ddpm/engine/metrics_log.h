// metrics.jsonl and the curve drawn from it. Private to engine/.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ddpm/engine/trainer.h"

namespace ddpm {

class MetricsLog {
 public:
  // Opens RUN/metrics.jsonl; lines of steps after `last_step` (from a session that was killed
  // before its next checkpoint) are dropped. Throws Error where the file cannot be written.
  MetricsLog(const std::string& run, int64_t last_step);
  // Appends a line; throws Error on a full disk.
  void append(const StepMetrics& metrics, double images_per_s);
  // Draws RUN/loss.png from all lines so far.
  void draw() const;

 private:
  std::string run_;
  std::vector<int64_t> steps_;
  std::vector<double> losses_;
};

}  // namespace ddpm
